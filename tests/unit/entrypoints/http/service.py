"""The real application over a store in memory: what the tests of the interface talk to."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar, cast

import httpx
import msgspec
from dependency_injector import providers
from litestar import Litestar

from adapters.auth.jwt_tokens import JwtTokens
from adapters.auth.keys import KeyPair, load_key_pair
from adapters.observability.access_log import AccessLog
from adapters.observability.request_metrics import RequestMetrics
from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import Record
from adapters.records.specs import AUDIT_LOGS, ENTITY_SPECS, USERS
from adapters.repositories.display_numbers import StoredDisplayNumbers
from application.ports.diagnostics import CacheUse, SlowQuery
from application.ports.health import ComponentHealth
from application.ports.sign_in import IdentityProvider
from application.ports.synchronisation import (
    CollectionSync,
    Discard,
    RecordHistory,
    RecordSync,
    Retried,
    RetryOutcome,
    SyncMetrics,
    VersionStatus,
)
from application.ports.tokens import Identity
from domain.audit import Action, AuditEntry, SyncStatus
from domain.entity import Stamp
from domain.errors import NotFound
from domain.user import User
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import Settings, read_settings
from entrypoints.http.app import create_app
from tests.unit.builders import ANNA, BEN, NOON
from tests.unit.entrypoints.http.scripted_move import ScriptedJobs, ScriptedMigration
from tests.unit.memory_store import MemoryRecordStore
from tests.unit.signing_pems import pem_pair

ADMIN = "d" * 24
T = TypeVar("T")
Json = dict[str, Any]


@cache
def keys() -> KeyPair:
    """One key pair for the whole run: making one takes a while."""
    return load_key_pair(None, None)


class SteppingClock:
    """The port Clock: noon, and a second later each time somebody asks for it to pass."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        return self.instant

    def pass_time(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)


class TickingClock(SteppingClock):
    """A clock on which every reading is a millisecond after the one before, so that orders by time are certain."""

    def now(self) -> datetime:
        self.instant += timedelta(milliseconds=1)
        return self.instant


@dataclass
class SettableHealth:
    """The port HealthProbe: says what the test wants said."""

    parts: dict[str, ComponentHealth] = field(default_factory=lambda: {"db": ComponentHealth(up=True)})

    async def components(self) -> dict[str, ComponentHealth]:
        return self.parts


@dataclass
class SettableDiagnostics:
    """The port Diagnostics: says what the test wants said."""

    slow: list[SlowQuery] = field(default_factory=list)
    cache: CacheUse | None = None

    def slow_queries(self) -> list[SlowQuery]:
        return self.slow

    def cache_use(self) -> CacheUse | None:
        return self.cache


def failed_entry(number: int) -> AuditEntry:
    """An entry that could not be mirrored."""
    return AuditEntry(
        id=f"{number:024x}",
        collection="tasks",
        entity_id=f"{number + 100:024x}",
        version=1,
        action=Action.CREATED,
        actor_id=ANNA,
        at=NOON,
        request_id="request-1",
        change_set_id=f"{number:024x}",
        changes={},
        sync_status=SyncStatus.PARKED,
        sync_attempts=3,
        sync_error="the record does not fit",
    )


class ScriptedSynchronisation:
    """The port Synchronisation over three failures."""

    def __init__(self) -> None:
        self.entries = [failed_entry(number) for number in (1, 2, 3)]

    async def metrics(self) -> SyncMetrics:
        row = CollectionSync(
            collection="tasks",
            synced=4,
            pending=1,
            failed=0,
            parked=len(self.entries),
            oldest_pending_age_ms=1_500,
            mirror_latency_p50_ms=2,
            mirror_latency_p99_ms=None,
        )
        return SyncMetrics(
            source="monty",
            target="postgres",
            mode="mirror",
            paused=False,
            target_reachable=True,
            collections=[row],
        )

    async def status(self, collection: str, id: str) -> RecordSync:
        entry = self._entry(id)
        return RecordSync(
            collection=collection,
            id=id,
            status=SyncStatus.PARKED,
            source_version=1,
            target_version=None,
            attempts=entry.sync_attempts,
            last_error=entry.sync_error,
            next_attempt_at=None,
        )

    async def failures(self, *, limit: int, after: str | None = None) -> Sequence[AuditEntry]:
        return [entry for entry in self.entries if after is None or entry.id > after][:limit]

    async def retry(self, collection: str, id: str) -> Retried:
        record = await self.discard(collection, id)
        return Retried(outcome=RetryOutcome.DELIVERED, detail=None, record=record)

    async def discard(self, collection: str, id: str, discard: Discard | None = None) -> RecordSync:
        entry = self._entry(id)
        self.entries.remove(entry)
        return RecordSync(
            collection=collection,
            id=id,
            status=SyncStatus.SYNCED,
            source_version=1,
            target_version=1,
            attempts=entry.sync_attempts + 1,
            last_error=None,
            next_attempt_at=None,
        )

    async def retry_all(self) -> int:
        count = len(self.entries)
        self.entries.clear()
        return count

    async def history(self, collection: str, id: str) -> RecordHistory:
        version = VersionStatus(entry=self._entry(id), in_source=True, in_target=False)
        return RecordHistory(versions=[version])

    def _entry(self, id: str) -> AuditEntry:
        for entry in self.entries:
            if entry.entity_id == id:
                return entry
        raise NotFound


class Parts:
    """The parts of a service that tests look at or set, and the real container around them."""

    def __init__(
        self, store: Any, settings: Settings, clock: SteppingClock, provider: IdentityProvider | None
    ) -> None:
        self.tokens = JwtTokens(keys(), clock=clock)
        self.numbers = StoredDisplayNumbers(store)
        self.lines = io.BytesIO()
        self.health = SettableHealth()
        self.mirror = ScriptedSynchronisation()
        self.migration = ScriptedMigration()
        self.jobs = ScriptedJobs()
        self.diagnostics = SettableDiagnostics()
        self.request_metrics = RequestMetrics()
        self.access_log = AccessLog(self.lines)
        self.container = build_container(settings)
        replaced = {
            "clock": clock,
            "store": store,
            "synchronisation": self.mirror,
            "migration": self.migration,
            "jobs": self.jobs,
            "health_probe": self.health,
            "diagnostics": self.diagnostics,
            "numbers": self.numbers,
            "keys": keys(),
            "tokens": self.tokens,
            "request_metrics": self.request_metrics,
            "access_log": self.access_log,
        }
        if provider is not None:
            replaced["provider"] = provider
        for name, part in replaced.items():
            getattr(self.container, name).override(providers.Object(part))


class Service:
    """One application and its store. `variables` are settings; making one costs more than most tests.

    `accounts` is the store behind one that counts or fails, where the accounts of callers are stored.
    """

    def __init__(
        self,
        store: Any = None,
        *,
        clock: SteppingClock | None = None,
        provider: IdentityProvider | None = None,
        accounts: Any = None,
        **variables: str,
    ) -> None:
        self.store: Any = store or MemoryRecordStore()
        self.accounts: Any = accounts or self.store
        self.clock = clock or TickingClock()
        self.is_started = True
        is_production = variables.get("APP_ENV") == "production"
        given = {
            "APP_ENV": "test",
            **({**pem_pair(), "STORE": "monty"} if is_production else {}),
            **variables,
        }
        self.parts = Parts(self.store, read_settings(given), self.clock, provider)
        self.app: Litestar = create_app(self.parts.container, is_started=lambda: self.is_started)
        transport = httpx.ASGITransport(cast("Any", self.app), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://tandem.test")

    def build(self, use_case: type[T]) -> T:
        """A use case over the store of this service."""
        return self.parts.container.builder().build(use_case)

    def client_at(self, address: str) -> httpx.AsyncClient:
        """A client of the same application with another address, and with cookies of its own."""
        transport = httpx.ASGITransport(
            cast("Any", self.app), raise_app_exceptions=False, client=(address, 50_000)
        )
        return httpx.AsyncClient(transport=transport, base_url="http://tandem.test")

    def renew(self) -> None:
        """Empties the store and sets everything back, so that the next test can use the same application."""
        self.store.__init__()
        self.parts.numbers.start_over()
        self.clock.instant = NOON
        self.is_started = True
        self.parts.health.parts = {"db": ComponentHealth(up=True)}
        self.parts.mirror.entries = ScriptedSynchronisation().entries
        self.parts.access_log.flush()
        self.parts.lines.seek(0)
        self.parts.lines.truncate()

    def headers(self, user_id: str = ANNA, *grants: str, **more: str) -> dict[str, str]:
        """The headers of a signed-in caller, `If_Match` and the like as keywords."""
        token = self.parts.tokens.issue(Identity(user_id, frozenset(grants))).access_token
        return {
            "Authorization": f"Bearer {token}",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """A request of Anna's, or `by` somebody else; `raw` sends bytes, further keywords are headers."""
        by, raw, kind = more.pop("by", ANNA), more.pop("raw", None), more.pop("kind", None)
        grants = ("admin",) if by == ADMIN else ()
        if grants:
            await self.give_account(by, *grants)
        headers = self.headers(by, *grants, **more)
        content = raw if raw is not None else None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["Content-Type"] = kind or "application/json"
        return await self.client.request(method, path, content=content, headers=headers)

    async def give_account(self, id: str, *grants: str) -> None:
        """Stores the account on which the grants of a caller rest, unless the test has stored it."""
        if not await self.accounts.fetch(USERS.collection, [id]):
            email = f"{id}@example.org"
            account = User.create(id, Stamp(NOON, id), email=email, name="Admin", grants=grants)
            record = USERS.mapping.to_record(account)
            await self.accounts.commit(ChangeSet((Put(USERS.collection, record, 0),)))

    async def made(self, path: str, body: Json, **more: Any) -> Json:
        """What a POST made."""
        answer = await self.call("POST", path, body, **more)
        assert answer.status_code == 201, answer.text
        view: Json = answer.json()
        return view

    async def stored(self) -> dict[str, list[Record]]:
        """Everything in the store: equal before and after means that nothing changed."""
        names = [spec.collection for spec in (*ENTITY_SPECS, AUDIT_LOGS)]
        return {name: await self.store.scan(name, after=None, limit=5_000) for name in names}


def pointers(answer: httpx.Response) -> list[str]:
    """Where a problem document sees faults."""
    return [fault["pointer"] for fault in answer.json().get("errors", [])]


__all__ = ["ADMIN", "ANNA", "BEN", "Json", "Service", "SteppingClock", "pointers"]
