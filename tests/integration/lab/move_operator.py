"""An operator who takes the steps of a move over HTTP, and does after a fault what the answers tell them to do."""

import asyncio
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from tests.integration.crash.service_client import ADMINISTRATOR

STEP_SECONDS_MAX = 120.0
ANSWER_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.1
CATCH_UP_SECONDS_MAX = 30.0
LAG_MS_MAX = 1_500
REFUSAL_CHARACTERS_MAX = 200
UNANSWERED = "unanswered"

Json = dict[str, Any]


class NotTaken(Exception):
    """A step was refused, or its answer was lost."""


class MoveOperator:
    """`pauses_ms` are the pauses of the switches that were answered; `refusals` counts what was not taken, in words."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS_MAX, trust_env=False)
        self.pauses_ms: list[int] = []
        self.refusals: Counter[str] = Counter()
        self.switching = asyncio.Event()
        """Set when a rehearsal, a cut-over or a rollback is asked for; whoever waits for the next one clears it."""

    async def __aenter__(self) -> Self:
        answer = await self._http.post("/v1/auth/dev/token", json={"email": ADMINISTRATOR})
        assert answer.status_code == 200, answer.text
        self._http.headers["authorization"] = f"Bearer {answer.json()['accessToken']}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def backfill(self) -> None:
        """Gives the target everything."""
        await self._insist("backfill", self._backfill)

    async def verify(self) -> None:
        """Compares in full until both stores are equal, repairing what differs."""
        await self._insist("verify", self._verify)

    async def rehearse(self) -> None:
        """Rehearses the cut-over, and first whatever it lacks."""
        await self._insist("rehearse", self._rehearse)

    async def switch(self, step: str, *, owner: str) -> None:
        """Takes `cutover` or `rollback` until this store owns the writes."""

        async def attempt() -> None:
            status = await self.status()
            if status["owner"] != owner:
                await self._switch(step, owner, status)

        await self._insist(step, attempt)

    async def finish(self) -> None:
        """Stops the reverse mirror."""

        async def attempt() -> None:
            if (await self.status())["phase"] != "finished":
                await self._ask("POST", "/v1/move/finish")

        await self._insist("finish", attempt)

    async def status(self) -> Json:
        """The whole move. Raises NotTaken."""
        return await self._ask("GET", "/v1/move")

    async def _switch(self, step: str, owner: str, status: Json) -> None:
        await self._equal(status)
        if step == "cutover" and status["lastRehearsal"] is None:
            await self._ask("POST", "/v1/move/rehearse")
        self.switching.set()
        result = await self._ask("POST", f"/v1/move/{step}", {})
        assert result["owner"] == owner, result
        self.pauses_ms.append(result["pauseMs"])

    async def _equal(self, status: Json) -> None:
        """Compares the stores where the guards demand it; after a fault, evidence may be void."""
        if status["phase"] == "mirroring":
            await self._backfill()
        guards = {guard["code"]: guard["green"] for guard in status["guards"]}
        if status["phase"] in ("mirroring", "backfilled") or not guards.get("evidence", True):
            await self._verify()

    async def _rehearse(self) -> None:
        await self._equal(await self.status())
        self.switching.set()
        await self._ask("POST", "/v1/move/rehearse")

    async def _backfill(self) -> None:
        await self._job("backfill", {})

    async def _caught_up(self) -> None:
        """Waits until the mirror follows: a verification names what is on its way for long as different."""
        deadline = time.monotonic() + CATCH_UP_SECONDS_MAX
        while time.monotonic() < deadline:
            metrics = await self._ask("GET", "/v1/sync/metrics")
            if metrics["lagMs"] <= LAG_MS_MAX and not metrics["totals"]["failed"]:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _verify(self) -> None:
        await self._caught_up()
        found = await self._job("verify", {})
        if not found["isClean"]:
            await self._caught_up()
            found = await self._job("verify", {})
        if not found["isClean"]:
            self.refusals["repaired"] += 1
            found = await self._job("repair")
        if not found["isClean"]:
            raise NotTaken(f"the stores differ: {found['differences']}")

    async def _job(self, step: str, body: Json | None = None) -> Json:
        job = await self._ask("POST", f"/v1/move/{step}", body)
        while job["state"] == "RUNNING":
            await asyncio.sleep(PAUSE_SECONDS)
            job = await self._ask("GET", f"/v1/move/jobs/{job['jobId']}")
        if job["state"] != "DONE":
            raise NotTaken(f"{step}: {job['error']}")
        result: Json = job["result"] if isinstance(job["result"], dict) else {}
        return result

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """Raises NotTaken for whatever may be different at the next try; anything else fails the scenario."""
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise NotTaken(f"{path}: {UNANSWERED} ({type(error).__name__})") from error
        is_forgotten_job = answer.status_code == 404 and "/jobs/" in path
        if answer.status_code in (409, 503) or is_forgotten_job:
            raise NotTaken(f"{path}: {answer.status_code} {answer.json()['detail']}")
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        result: Json = answer.json()
        return result

    async def _insist(self, step: str, attempt: Any) -> None:
        deadline = time.monotonic() + STEP_SECONDS_MAX
        while True:
            try:
                await attempt()
            except NotTaken as refused:
                self.refusals[str(refused)[:REFUSAL_CHARACTERS_MAX]] += 1
                if time.monotonic() > deadline:
                    pytest.fail(f"{step} was not possible within {STEP_SECONDS_MAX:.0f} s: {refused}")
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return
