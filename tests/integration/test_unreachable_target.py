"""Nothing is said of a target that nobody could look at, and the steps that need it name the cause at once."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ownership_world import until_delivered
from tests.integration.served_move import Served, served
from tests.servers.postgres import OwnPostgresServer

REFUSED = "nothing listens at its address"
ANSWER_SECONDS_MAX = 8.0
STEPS: list[tuple[str, dict[str, Any] | None]] = [
    ("backfill", None),
    ("verify", {"mode": "FULL"}),
    ("repair", None),
    ("recover", None),
]


@pytest.fixture(params=["reached before", "never reached"])
def is_never_reached(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "never reached")


async def test_a_target_that_does_not_answer_is_unknown_and_named(
    is_never_reached: bool, tmp_path: Path, own_postgres_server: OwnPostgresServer
) -> None:
    dual = {
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": "monty",
        "POSTGRES_URL": own_postgres_server.create_database(),
    }
    async with served(tmp_path / "data", **dual) as running:
        made = (await running.client.post("/v1/labels", json={"name": "Garden"})).json()["id"]
        await until_delivered(running.container)
        assert (await record(running, made))["isTargetRead"]
        if not is_never_reached:
            own_postgres_server.kill()
            await require_unknown(running, made)
    if is_never_reached:
        own_postgres_server.kill()
        async with served(tmp_path / "data", **dual) as running:
            await require_unknown(running, made)


async def record(running: Served, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = (await running.client.get(f"/v1/sync/status/labels/{id_}")).json()
    return found


async def require_unknown(running: Served, id_: str) -> None:
    found = await record(running, id_)
    assert (found["sourceVersion"], found["targetVersion"], found["isTargetRead"]) == (1, None, False)
    assert REFUSED in found["lastError"]
    history = (await running.client.get(f"/v1/sync/history/labels/{id_}")).json()
    assert [(row["inSource"], row["inTarget"]) for row in history["items"]] == [(True, None)]
    for step, body in STEPS:
        for suffix in ("?dryRun=true", ""):
            began = time.monotonic()
            answer = await running.post(f"{step}{suffix}", body)
            assert (answer.status_code, REFUSED in answer.json()["detail"]) == (503, True), answer.json()
            assert time.monotonic() - began < ANSWER_SECONDS_MAX
    job = await running.ended("preflight")
    assert (job["state"], REFUSED in job["error"]) == ("FAILED", True), job
