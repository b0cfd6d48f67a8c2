"""Routes reads in one process: keeps its routes, what it knows of unconfirmed writes, and the shadow reads."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import Token
from dataclasses import dataclass, replace
from typing import Any

from loguru import logger

from adapters.migration.own_writes import (
    OPENING_LENGTH,
    OwnWrites,
    ReadAfter,
    Unconfirmed,
    read_after,
)
from adapters.migration.request_reads import CURRENT, RequestReads
from adapters.migration.routed_store import ReadRules, RoutedStore
from adapters.migration.routes import Routes
from adapters.migration.setbacks import Setbacks
from adapters.migration.shadow import ShadowDifference, ShadowReads
from adapters.migration.steps import SHADOW_STEP, note_step
from adapters.migration.undelivered_watch import LOOK_AGE_SECONDS_MAX, UndeliveredWatch
from adapters.ownership.control import Ownership
from adapters.records.change_set import ChangeSet
from adapters.records.on_disk import OnDisk
from adapters.records.record_store import RecordStore
from application.ports.clock import Clock
from application.ports.migration import StepTaken
from application.ports.read_routing import RoutedRequest
from domain.errors import StoreUnavailable
from domain.migration import Phase, Route
from entrypoints.composition.direction import Direction

HOLD_SECONDS = LOOK_AGE_SECONDS_MAX + 0.02
"""How long a response waits for the processes that look at what is undelivered."""
BY_ITSELF = "tandem"


@dataclass(slots=True, eq=False)
class EnteredRequest(RequestReads):
    """One request, and what the task had before."""

    before: Token[RequestReads | None] | None = None

    @property
    def has_unconfirmed(self) -> bool:
        return bool(self.unconfirmed)


class StackReadRouting:
    """The port ReadRouting, and the store whose reads are routed.

    `follow` looks at the control record and uses another owner. `direction` is the present one.
    """

    def __init__(
        self,
        inner: RecordStore,
        *,
        direction: Callable[[], Direction],
        follow: Callable[[], Coroutine[Any, Any, bool]],
        clock: Clock,
    ) -> None:
        self._direction = direction
        self._follow = follow
        self._clock = clock
        self._routes = Routes()
        self._setbacks = Setbacks()
        self._own_writes = OwnWrites(now_ms=lambda: round(clock.now().timestamp() * 1000))
        self._watch = UndeliveredWatch(
            lambda: direction().source, is_needed=lambda: self._routes.has_target_routes, clock=clock
        )
        self._epoch, self._opening = 0, ""
        self._reported: dict[str, Route] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.store = RoutedStore(
            inner,
            target=lambda: direction().target,
            rules=ReadRules(
                routes=self._routes,
                own_writes=self._own_writes,
                watch=self._watch,
                is_shared=self._is_shared,
            ),
            on_error=self._note_error,
        )
        self._shadows = ShadowReads(
            inner,
            at_target=self.store.read_shadow,
            on_difference=self._note_difference,
            on_error=self._note_error,
        )
        self.store.shadows = self._shadows

    def note_unconfirmed(self, change_set: ChangeSet) -> None:
        """The target has not confirmed a change set that is durable in the source."""
        self._own_writes.note(change_set)
        current = CURRENT.get()
        if current is not None and change_set.entries:
            self._note(current, change_set.entry_ids[0])

    def start(self) -> None:
        """Begins to look at what is undelivered, as long as the target answers reads."""
        if not self._tasks:
            self._begin(self._watch.run(), name="watching undelivered entries")

    async def use_routes(self) -> None:
        """Reads the routes from the control record into this process. Raises StoreUnavailable."""
        asked_at = time.monotonic()
        owner = (await self._direction().ownership.required()).ownership
        self.learn(owner, asked_at=asked_at)

    def learn(self, owner: Ownership, *, asked_at: float) -> None:
        """Uses the routes of this control record, which was read since `asked_at`."""
        if owner.epoch != self._epoch:
            self._watch.forget()
        self._epoch, self._opening = owner.epoch, owner.opening
        former = dict(self._routes.known)
        self._routes.learn(owner.routes, asked_at=asked_at)
        for name in former.keys() | self._routes.known.keys():
            if former.get(name) != self._routes.known.get(name):
                self._setbacks.forget(name)

    async def close(self) -> None:
        """Ends the background work."""
        await self._shadows.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def enter(self) -> EnteredRequest:
        """See ReadRouting."""
        entered = EnteredRequest()
        entered.before = CURRENT.set(entered)
        return entered

    def leave(self, request: RoutedRequest) -> None:
        """See ReadRouting."""
        if isinstance(request, EnteredRequest) and request.before is not None:
            request.caller_id = None
            CURRENT.reset(request.before)

    async def route(self, request: RoutedRequest, caller_id: str, token: str | None) -> None:
        """See ReadRouting."""
        if not isinstance(request, EnteredRequest):
            raise TypeError("the request was not entered here")
        if token is not None:
            said = read_after(token)
            if said.epoch > self._epoch > 0:
                await self._follow()
                await self.use_routes()
            request.read_after = said.unconfirmed
        request.caller_id = caller_id

    def continue_from(self, caller_id: str, token: str) -> None:
        """See ReadRouting."""
        self._own_writes.add(caller_id, read_after(token).unconfirmed)

    def note_replayed(self, caller_id: str, entry_id: str) -> None:
        """See ReadRouting."""
        current = CURRENT.get()
        if self._direction().target is not None and current is not None:
            self._own_writes.add(caller_id, Unconfirmed((entry_id,)))
            self._note(current, entry_id)

    async def token_after(self, request: RoutedRequest, caller_id: str | None, *, is_echoing: bool) -> str:
        """See ReadRouting."""
        if not isinstance(request, EnteredRequest):
            raise TypeError("the request was not entered here")
        if not is_echoing and self._is_shared() and self._routes.others_may_use_target:
            await asyncio.sleep(HOLD_SECONDS)
        unconfirmed = request.unconfirmed
        if caller_id is not None:
            unconfirmed = self._own_writes.of(caller_id).joined(unconfirmed, now_ms=self._own_writes.now_ms())
        return ReadAfter(self._epoch, self._opening[:OPENING_LENGTH], unconfirmed).text

    def fallbacks_of(self, collection: str) -> int:
        """How many reads of a collection this process has asked the source for although the target was to answer."""
        return sum(count for (name, _), count in self.store.fallbacks.items() if name == collection)

    @property
    def reads_at_target(self) -> int:
        """How many reads this process has compared, or had answered by the target, since it started."""
        return self._shadows.compared.total() + sum(self.store.answered.values())

    def render_metrics(self) -> str:
        """What was counted, as Prometheus text; empty as long as nothing was routed."""
        shadows = self._shadows
        lines = [
            *_lines("tandem_route_reads_total", "Reads that the target answered.", self.store.answered),
            *_lines(
                "tandem_route_fallbacks_total", "Reads that fell back to the source.", self.store.fallbacks
            ),
            *_lines("tandem_shadow_reads_total", "Reads that were compared.", shadows.compared),
            *_lines(
                "tandem_shadow_skipped_total", "Reads left uncompared, to bound the work.", shadows.skipped
            ),
            *_lines("tandem_shadow_differences_total", "Differences of shadow reads.", shadows.differing),
        ]
        return "".join(f"{line}\n" for line in lines)

    def _is_shared(self) -> bool:
        """Whether other processes may write to the source: a directory belongs to one process."""
        return not isinstance(self._direction().raw_source, OnDisk)

    def _note(self, current: RequestReads, entry_id: str) -> None:
        now_ms = self._own_writes.now_ms()
        current.unconfirmed = current.unconfirmed.joined(Unconfirmed((entry_id,)), now_ms=now_ms)

    def _note_difference(self, difference: ShadowDifference) -> None:
        collection = difference.collection
        route = self._routes.known.get(collection)
        if route is None:
            return
        if self._setbacks.difference(collection):
            self._step_back(collection, route, "too many shadow reads differ")
        elif self._reported.get(collection) != route:
            self._reported[collection] = route
            fields = f", fields {', '.join(difference.fields)}" if difference.fields else ""
            detail = f"{collection}: a shadow read differs: {difference.kind}{fields}"
            self._begin(self._report(detail), name="reporting a difference")

    def _note_error(self, collection: str) -> None:
        route = self._routes.known.get(collection)
        if route is not None and self._setbacks.error(collection):
            self._step_back(collection, route, "the target answered too many reads late or not at all")

    def _step_back(self, collection: str, route: Route, why: str) -> None:
        if collection not in self._routes.used:
            return
        self._routes.leave_off(collection)
        logger.error("{} is routed no more: {}.", collection, why)
        self._begin(self._set_back(collection, route, why), name="stepping back")

    async def _set_back(self, collection: str, route: Route, why: str) -> None:
        def plain(now: Ownership) -> Ownership:
            if now.routes.get(collection) != route:
                return now
            left = {name: one for name, one in now.routes.items() if name != collection}
            back = Phase.VERIFIED if now.phase is Phase.READING and not left else now.phase
            return replace(now, routes=left, phase=back)

        try:
            await self._direction().ownership.change(plain)
            await self._report(f"{collection}: stepped back to the source, because {why}")
        except StoreUnavailable as error:
            # This process follows the route no more in any case.
            logger.warning("The route of {} could not be set back: {}", collection, error.message)

    async def _report(self, detail: str) -> None:
        taken = StepTaken(step=SHADOW_STEP, at=self._clock.now(), by=BY_ITSELF, detail=detail)
        try:
            await note_step(self._direction().source, taken)
        except StoreUnavailable as error:
            logger.warning("A step could not be noted ({}): {}", error.message, detail)

    def _begin(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _lines(name: str, meaning: str, counts: dict[str, int] | dict[tuple[str, str], int]) -> list[str]:
    if not counts:
        return []
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} counter"]
    for key, count in sorted(counts.items()):
        collection, about = (key, None) if isinstance(key, str) else key
        label = "kind" if "differences" in name else "reason"
        more = "" if about is None else f',{label}="{about}"'
        lines.append(f'{name}{{collection="{collection}"{more}}} {count}')
    return lines
