"""People who write while the ownership moves, by every service, and note what was acknowledged."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from tests.integration.crash.ledger import Ledger
from tests.integration.crash.running_editors import RunningEditors, running_editors
from tests.integration.crash.service_client import ServiceClient, Timing
from tests.integration.crash.tandem_process import ServiceProcess

EDITORS = 2
"""Of all services together: they write without a pause, and the processors are for the faults."""
REMOVED_PAUSE_SECONDS = 0.05


class Load:
    """Clients of every service, the ledger of what they were told, and the labels they deleted.

    `stop` ends the work; every request has its answer then.
    """

    def __init__(
        self, clients: Sequence[ServiceClient], ledger: Ledger, *, stop: Callable[[], Awaitable[None]]
    ) -> None:
        self.clients, self.ledger, self.stop = clients, ledger, stop
        self.deleted: list[str] = []
        self._running: list[RunningEditors] = []

    def add(self, running: RunningEditors) -> None:
        """More editors."""
        self._running.append(running)

    def require_no_failure(self) -> None:
        """Raises the failure of an editor that has ended."""
        for running in self._running:
            running.require_no_failure()

    @property
    def lost(self) -> int:
        """Requests that were sent and not answered."""
        return sum(client.lost for client in self.clients)

    def failed(self, *, since: float) -> list[Timing]:
        """Answers with a fault of the server that came after this moment of the monotonic clock."""
        return [
            timing
            for client in self.clients
            for timing in client.timings
            if timing.ended >= since and timing.status >= 500
        ]

    def faults(self) -> Counter[str]:
        """The newest answers with a fault of the server, by what they say."""
        return Counter(json.loads(fault)["detail"] for client in self.clients for fault in client.faults)

    def longest_ms(self) -> int:
        """The longest that anybody waited for one answer."""
        return round(max(timing.milliseconds for client in self.clients for timing in client.timings))


@asynccontextmanager
async def loaded(services: Sequence[ServiceProcess], random: Random) -> AsyncIterator[Load]:
    """People work inside the block until `Load.stop`. The clients stay usable until its end."""
    async with AsyncExitStack() as clients, AsyncExitStack() as working:
        asking = [await clients.enter_async_context(ServiceClient(service.url)) for service in services]
        load = Load(asking, Ledger(), stop=working.aclose)
        for number, client in enumerate(asking):
            await client.sign_in()
            editors = running_editors(
                client,
                editors=EDITORS // len(services),
                random=random,
                ledger=load.ledger,
                prefix=f"service-{number}-",
            )
            load.add(await working.enter_async_context(editors))
        await working.enter_async_context(_removing(load))
        yield load


@asynccontextmanager
async def _removing(load: Load) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    removing = asyncio.create_task(_remove(load, stopping))
    try:
        yield
        stopping.set()
        await removing
    finally:
        removing.cancel()
        await asyncio.gather(removing, return_exceptions=True)


async def _remove(load: Load, stopping: asyncio.Event) -> None:
    """Creates labels and deletes them."""
    client = load.clients[0]
    number = 0
    while not stopping.is_set():
        number += 1
        key = {"idempotency-key": f"removed-{number}"}
        made, _ = await client.insist("POST", "/v1/labels", {"name": f"to be removed {number}"}, key)
        assert made.status_code == 201, made.text
        tag = {"if-match": made.headers["etag"].replace("-gz", "")}
        answer, is_repeated = await client.insist("DELETE", f"/v1/labels/{made.json()['id']}", headers=tag)
        assert answer.status_code == 204 or (is_repeated and answer.status_code == 412), answer.text
        load.deleted.append(made.json()["id"])
        await asyncio.sleep(REMOVED_PAUSE_SECONDS)
