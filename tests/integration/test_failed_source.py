"""A source that fails: its target, which answers, is not said to be down, least of all for the source's reason."""

import asyncio
from pathlib import Path

from tests.integration.ownership_world import mongo_to_postgres, serving, until_equal, write
from tests.servers.mongo import StandInMongoServer

SECONDS = 6.0
"""Some rounds of the relay, each with a comparison that needs the source."""


async def test_a_killed_source_leaves_its_target_up(
    own_mongo_server: StandInMongoServer, postgres_url: str, tmp_path: Path
) -> None:
    variables = mongo_to_postgres(
        own_mongo_server.uri, name="failed", postgres_url=postgres_url, directory=tmp_path
    )
    async with serving(variables) as container:
        await write(container, 1)
        await until_equal(container)
        stack = container.stack()
        target = stack.direction.target
        assert target is not None
        own_mongo_server.server.kill()
        await asyncio.sleep(SECONDS)
        health = await stack.components()
        assert (health["db"].status, health["target"].status) == ("DOWN", "UP")
        assert target.breaker.reason is None
        # Otherwise everything that has to be noted at the end waits for it.
        own_mongo_server.server.restart()
