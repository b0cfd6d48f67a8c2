"""The state of the stores, the mirror and the cache: every probe, page and command that reports it reads this."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from loguru import logger

from adapters.cache.cached_store import CachedStore
from adapters.dual_write.backlog import TROUBLED
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.relay import Relay
from adapters.dual_write.synchronisation import StoredSynchronisation
from adapters.observability.recent_errors import RecentErrors
from adapters.records.compared import SourceFailed
from adapters.records.criteria import OneOf, Order, Question
from adapters.records.record import ID
from adapters.records.record_store import NotOpen, RecordStore, StoreRefused
from adapters.records.specs import AUDIT_LOGS
from application.ports.clock import Clock
from application.ports.health import ComponentHealth
from domain.errors import StoreUnavailable, TandemError
from entrypoints.composition.mirror_health import troubles_of
from entrypoints.composition.schema_watch import SchemaWatch

CHECK_SECONDS_MAX = 2.0
DETAIL_LENGTH_MAX = 300
STARTING = "It is starting; old records are being read or rewritten."
OPENING = "It is not open yet; the first attempt to open it is under way."
UNKNOWN_CAUSE = StoreUnavailable().message
LATE = f"It does not answer within {CHECK_SECONDS_MAX:.0f} s."

_PLACES = re.compile(r"\w+://\S+|(?<![\w.])/[^\s,:;)]+")
"""Addresses, and absolute paths."""

UP = ComponentHealth(up=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackHealth:
    """Checks each component within CHECK_SECONDS_MAX, all at the same time.

    `is_preparing` is true while the process starts and the records cannot be relied on yet.
    """

    source: RecordStore
    errors: RecentErrors
    """Those of the source."""
    target: MirrorTarget | None
    cached: CachedStore | None
    synchronisation: StoredSynchronisation
    is_preparing: bool
    obstacle: str | None
    """Why this process may not write; None if it may."""
    relay: Relay | None
    clock: Clock
    raw_source: RecordStore
    raw_target: RecordStore | None
    schema_watch: SchemaWatch

    async def components(self) -> Mapping[str, ComponentHealth]:
        """`db`, and `target`, `mirror` and `cache` if they exist. Never raises for a component that fails."""
        checks = {"db": _bounded(self._source_health(), late=lambda: self.errors.trouble or LATE)}
        if self.target is not None:
            checks["target"] = _bounded(self._target_health(self.target))
            checks["mirror"] = _bounded(self._mirror_health())
        if self.cached is not None:
            checks["cache"] = _bounded(_cache_health(self.cached))
        return dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))

    async def _source_health(self) -> ComponentHealth:
        try:
            await self.source.ping()
        except NotOpen as error:
            # Whoever tries to open it knows why; nobody does before the first attempt has ended.
            return down(self.obstacle or (error.message if error.names_cause else OPENING))
        except TandemError as error:
            is_known = error.message != UNKNOWN_CAUSE
            return down(error.message if is_known else self.errors.trouble or error.message)
        await self.errors.check()
        if (reason := self.obstacle or self.errors.trouble) is not None:
            return down(reason)
        if self.is_preparing:
            return down(STARTING)
        if self.errors.damage is not None:
            return degraded(self.errors.damage)
        return await self._schema_health(self.raw_source)

    async def _schema_health(self, store: RecordStore) -> ComponentHealth:
        trouble = await self.schema_watch.trouble_of(store.name, store)
        return UP if trouble is None else degraded(trouble)

    async def _target_health(self, target: MirrorTarget) -> ComponentHealth:
        if target.breaker.reason is not None:
            return down(target.breaker.reason)
        try:
            await target.probe()
        except SourceFailed as failed:
            return degraded(failed.message)  # what is wrong is shown at the source
        except TandemError as error:
            return down(error.message)
        blocked = [one.blocked for one in target.blockages.tables()]
        if not blocked:
            return UP if self.raw_target is None else await self._schema_health(self.raw_target)
        cause = "; ".join(f"{one.place} is blocked: {one.cause}" for one in blocked)
        return degraded(cause)

    async def _mirror_health(self) -> ComponentHealth:
        """Degraded while changes are rejected or wait for too long: everything else is mirrored."""
        try:
            metrics = await self.synchronisation.metrics()
            silent_seconds = None if self.relay is None else self.relay.silent_seconds
            now = self.clock.now()
            troubles = list(troubles_of(metrics, relay_silent_seconds=silent_seconds, now=now))
            if self.target is not None and (reason := self.target.breaker.reason) is not None:
                troubles.insert(0, f"Nothing is mirrored: {reason.removesuffix('.')}")
            if not troubles:
                return UP
            has_rejected = metrics.totals.failed + metrics.totals.parked > 0
            newest = await self._newest_reason() if has_rejected else None
        except TandemError as error:
            return down(f"Its state cannot be read. {error.message}")
        shown = ". ".join(troubles)
        cause = "\n".join(troubles if newest is None else [*troubles, f"The newest reason: {newest}"])
        return ComponentHealth(up=True, is_degraded=True, detail=shown[:DETAIL_LENGTH_MAX], cause=cause)

    async def _newest_reason(self) -> str | None:
        """Why the newest of the rejected entries was rejected, in the target's words."""
        newest = Question(
            collection=AUDIT_LOGS.collection,
            where=OneOf("syncStatus", TROUBLED),
            order=Order(ID, descending=True),
            limit=1,
        )
        found = await self.source.find(newest)
        return str(found[0]["syncError"]) if found and found[0]["syncError"] else None


def down(reason: str) -> ComponentHealth:
    """A component that is down; everybody sees the reason without addresses and paths."""
    return ComponentHealth(up=False, detail=without_places(reason), cause=reason)


def degraded(reason: str) -> ComponentHealth:
    """A component that works for part of the records; the reason is shown as that of `down`."""
    return ComponentHealth(up=True, is_degraded=True, detail=without_places(reason), cause=reason)


def without_places(reason: str) -> str:
    """The first line without addresses and absolute paths, which only operators may see."""
    first, *_ = reason.splitlines() or [""]
    return _PLACES.sub("…", first)[:DETAIL_LENGTH_MAX]


async def _cache_health(cached: CachedStore) -> ComponentHealth:
    """A cache that cannot be used only costs time, because reads go to the store."""
    reason = await cached.trouble()
    return UP if reason is None else down(f"Reads go to the store. {reason}")


async def _bounded(
    check: Awaitable[ComponentHealth], *, late: Callable[[], str] = lambda: LATE
) -> ComponentHealth:
    """The result of a check; down where it takes too long (`late` says why) or fails. What hangs is left behind."""
    task = asyncio.ensure_future(check)
    done, _ = await asyncio.wait({task}, timeout=CHECK_SECONDS_MAX)
    if not done:
        task.cancel()
        return down(late())
    try:
        return task.result()
    except TandemError as error:
        return down(error.message)
    except StoreRefused as refused:
        return down(str(refused))
    except Exception as error:  # noqa: BLE001 - a probe must answer, above all when something is wrong
        logger.opt(exception=error).error("A component could not be checked")
        return down(f"It could not be checked ({type(error).__name__}).")
