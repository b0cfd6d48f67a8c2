"""What `tandem doctor` makes of the answers of a running service."""

import asyncio
import gc
from typing import Any

import msgspec

from application.ports.schema import SchemaFlaw
from domain.errors import StoreUnavailable, Unavailable
from entrypoints.cli.running_service import RunningService, ServiceClient
from entrypoints.cli.store_checks import checks_of_service
from entrypoints.http.operator import SchemaView

DAMAGED = "A part of MontyDB's file is damaged, so nothing is written. Stop Tandem and restore a copy."

FLAW = SchemaFlaw(cause="A table is missing.", remedy="Restore a copy.")


class AnsweringService(ServiceClient):
    """A service whose source is damaged: it says so, and cannot read the state of its mirror."""

    def __init__(self) -> None:
        super().__init__(RunningService("http://127.0.0.1:1", 4711), token="")

    async def health(self) -> dict[str, object]:
        mirror = {"status": "DOWN", "detail": "Its state cannot be read."}
        return {"components": {"db": {"status": "DOWN", "detail": DAMAGED}, "mirror": mirror}}

    async def ask(
        self, method: str, path: str, body: object = None, *, timeout_seconds: float | None = None
    ) -> dict[str, object]:
        raise Unavailable(DAMAGED)

    async def fetch(self, *_: object, **__: object) -> bytes:
        return msgspec.json.encode(SchemaView((), (), {}, {"monty": (FLAW,)}))


class SingleService(AnsweringService):
    """A service with one store, whose server is gone."""

    async def health(self) -> dict[str, object]:
        return {"components": {"db": {"status": "DOWN", "detail": DAMAGED}}}


class MuteSchemaService(SingleService):
    """A service without a mirror, which cannot say how its schema is."""

    async def ask(
        self, method: str, path: str, body: object = None, *, timeout_seconds: float | None = None
    ) -> dict[str, object]:
        return {"target": None}

    async def fetch(self, *_: object, **__: object) -> bytes:
        raise Unavailable("Not now.")


class DifferingService(MuteSchemaService):
    """A service whose components work, though one schema cannot be read, and whose stores were found to differ."""

    async def health(self) -> dict[str, object]:
        return {"components": {"db": {"status": "UP"}}}

    async def fetch(self, *_: object, **__: object) -> bytes:
        return msgspec.json.encode(
            SchemaView((), (), {"postgres": "postgres: It is locked."}, {}, "2 differ.")
        )


class SilentService(AnsweringService):
    """A service that does not even report its health."""

    async def health(self) -> dict[str, object]:
        raise StoreUnavailable("The service at http://127.0.0.1:1 does not answer.")


async def test_a_service_that_reports_a_damaged_source_is_not_to_be_killed() -> None:
    results = [result async for result in checks_of_service(AnsweringService())]

    assert [(one.subject, one.is_fine) for one in results] == [
        ("service", True),
        ("source", False),
        ("mirror", False),
        ("schema", False),
    ]
    assert all(DAMAGED in one.message for one in results[1:3])
    assert results[3].message == f"monty: {FLAW.cause}"
    assert not any("kill" in (one.remedy or "") for one in results)


async def test_nothing_is_said_about_a_mirror_that_does_not_exist() -> None:
    results = [result async for result in checks_of_service(SingleService())]

    assert [(one.subject, one.is_fine) for one in results] == [
        ("service", True),
        ("source", False),
        ("schema", False),
    ]


async def test_a_schema_that_cannot_be_read_is_not_a_failure_of_the_mirror() -> None:
    results = [result async for result in checks_of_service(MuteSchemaService())]

    assert [(one.subject, one.is_fine) for one in results[2:]] == [("schema", False)]


async def test_a_schema_that_cannot_be_read_and_differences_that_were_found_are_failures() -> None:
    results = [result async for result in checks_of_service(DifferingService())]

    assert [(one.subject, one.message) for one in results if not one.is_fine] == [
        ("schema", "It cannot be read. postgres: It is locked."),
        ("mirror", "2 differ."),
    ]
    assert results[-1].remedy == "Type: tandem move repair"


async def test_a_service_that_reports_nothing_may_be_ended() -> None:
    results = [result async for result in checks_of_service(SilentService())]

    assert [one.remedy or "" for one in results if not one.is_fine] == [
        "Read its log. To end it, type: kill 4711. To start it again, type: tandem serve"
    ]


class SlowHealthService(MuteSchemaService):
    """A service whose schema fails long before its health is known."""

    async def health(self) -> dict[str, object]:
        await asyncio.sleep(60)
        return {}


async def test_checks_that_are_given_up_report_no_error_that_nobody_waits_for() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def collect() -> None:
        async for _ in checks_of_service(SlowHealthService()):
            continue

    checking = asyncio.ensure_future(collect())
    await asyncio.wait({checking}, timeout=0.1)
    checking.cancel()
    await asyncio.gather(checking, return_exceptions=True)
    del checking
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []
