"""A client of the service that outlives it: lost answers are asked for again, and every exchange is timed."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

ADMINISTRATOR = "crash@example.org"
ANSWER_SECONDS_MAX = 30.0
GIVE_UP_SECONDS = 120.0
FAULTS_MAX = 50
RETRY_SECONDS = 0.1
TIMINGS_MAX = 200_000
SHARED_ANSWER_SECONDS = 1.5
"""An answer of /v1/sync/metrics may be a second old, so one zero proves nothing."""
MARKED_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Timing:
    """One answered request, by this process's monotonic clock."""

    request: str
    began: float
    ended: float
    status: int

    @property
    def milliseconds(self) -> float:
        """From the first byte sent to the last byte read."""
        return (self.ended - self.began) * 1000


class ServiceClient:
    """One signed-in person. `lost` counts requests that were sent and not answered,
    `replayed` answers given a second time.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS_MAX, trust_env=False)
        self.timings: deque[Timing] = deque(maxlen=TIMINGS_MAX)
        self.faults: deque[str] = deque(maxlen=FAULTS_MAX)
        """The newest answers with a fault of the server, as they were sent."""
        self.lost = 0
        self.replayed = 0
        self._unanswered: dict[float, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def sign_in(self) -> None:
        """As the administrator of this installation: its first user."""
        answer = await self._http.post("/v1/auth/dev/token", json={"email": ADMINISTRATOR})
        assert answer.status_code == 200, answer.text
        self._http.headers["authorization"] = f"Bearer {answer.json()['accessToken']}"

    async def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """One exchange. Raises httpx.TransportError where the answer is lost."""
        began = time.monotonic()
        asked = f"{method} {path}"
        self._unanswered[began] = asked
        try:
            answer = await self._http.request(method, path, json=body, headers=headers)
        finally:
            del self._unanswered[began]
        self.timings.append(Timing(asked, began, time.monotonic(), answer.status_code))
        if answer.status_code >= 500:
            self.faults.append(answer.text)
        return answer

    def still_waiting(self) -> list[Timing]:
        """Requests without an answer so far, as if it came now with status 0: who hangs must not go unseen."""
        now = time.monotonic()
        return [Timing(asked, began, now, 0) for began, asked in self._unanswered.items()]

    async def insist(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[httpx.Response, bool]:
        """Asks until there is an answer that stands, and says whether an earlier try may have been carried out.

        Only what is safe to repeat may be asked for like this.
        """
        is_repeated = False
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = await self.ask(method, path, body, headers)
            except httpx.ConnectError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except httpx.TransportError:
                self.lost += 1
            else:
                if answer.status_code != 503 and not _is_running_elsewhere(answer):
                    self.replayed += answer.headers.get("idempotency-replayed") == "true"
                    return answer, is_repeated
            is_repeated = True
            await asyncio.sleep(RETRY_SECONDS)
        pytest.fail(f"{method} {path} was not answered within {GIVE_UP_SECONDS:.0f} seconds")

    async def sync_metrics(self) -> dict[str, Any]:
        """How far the mirror is."""
        answer = await self.ask("GET", "/v1/sync/metrics")
        assert answer.status_code == 200, answer.text
        metrics: dict[str, Any] = answer.json()
        return metrics

    async def wait_delivered(self, *, seconds_max: float, evidence: Callable[[], str] | None = None) -> float:
        """Waits until every entry is mirrored; how many seconds that took. What is parked never will be.

        `evidence` is added to the failure, for what other processes say.
        """
        began = time.monotonic()
        nothing_since: float | None = None
        totals: dict[str, Any] = {}
        while time.monotonic() - began < seconds_max:
            totals = (await self.sync_metrics())["totals"]
            assert totals["parked"] == 0, f"entries were parked: {totals}"
            if totals["pending"] or totals["failed"]:
                nothing_since = None
            elif nothing_since is None:
                nothing_since = time.monotonic()
            elif time.monotonic() - nothing_since > SHARED_ANSWER_SECONDS:
                return nothing_since - began
            await asyncio.sleep(MARKED_POLL_SECONDS)
        found = "" if evidence is None else f"\n{evidence()}"
        pytest.fail(f"after {seconds_max:.0f} seconds the mirror is not up to date: {totals}{found}")


def _is_running_elsewhere(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and answer.json()["code"] == "answer_pending"
