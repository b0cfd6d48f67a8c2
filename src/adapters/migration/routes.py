"""Which store answers the reads of a caller, as far as this process knows the routes."""

import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import lru_cache
from hashlib import blake2b

from adapters.records.specs import API_TOKENS, AUDIT_LOGS, CONTROL, ENTITY_SPECS, SESSIONS
from domain.migration import Route

NEVER_ROUTED = frozenset(spec.collection for spec in (SESSIONS, API_TOKENS, AUDIT_LOGS, CONTROL))
"""Sessions and tokens decide who somebody is; entries and control records say different things in each store."""
ROUTABLE = tuple(spec.collection for spec in ENTITY_SPECS if spec.collection not in NEVER_ROUTED)
SHARES = 10_000
SHARES_KNOWN_MAX = 10_000
ROUTES_AGE_SECONDS_MAX = 2.5
"""How old the routes that this process knows may be. They are read once a second."""
PROPAGATION_SECONDS = 3.0
"""How long after a process has seen a route it uses it, and how long after it was removed other processes may use it:
longer than any process may go without reading the routes.
"""


class Answerer(Enum):
    """Who answers a read."""

    SOURCE = auto()
    SHADOW = auto()
    """The source answers, and the target's answer is compared afterwards."""
    TARGET = auto()


@lru_cache(maxsize=SHARES_KNOWN_MAX)
def share_of(caller_id: str) -> float:
    """The place of a caller between 0 and 100: the same in every process and for every collection."""
    digest = blake2b(caller_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SHARES * 100 / SHARES


def answerer_of(route: Route, caller_id: str) -> Answerer:
    """Who answers this caller. Shadow reads begin with the callers that the target answers last."""
    share = share_of(caller_id)
    if share < route.target_percent:
        return Answerer.TARGET
    return Answerer.SHADOW if share >= 100 - route.shadow_percent else Answerer.SOURCE


class Routes:
    """The routes by collection. `used` holds those of them that this process follows; empty where nothing is routed.

    A route to the target is followed only after PROPAGATION_SECONDS, when all other processes know of it, and only
    while this process keeps reading the routes.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._learned_at: float | None = None
        self._known: Mapping[str, Route] = {}
        self._since: dict[str, float] = {}
        self._left_off: dict[str, Route] = {}
        self._target_until = float("-inf")
        self.used: dict[str, Route] = {}

    @property
    def known(self) -> Mapping[str, Route]:
        """The routes as they were read last."""
        return self._known

    def learn(self, routes: Mapping[str, Route], *, asked_at: float) -> None:
        """Takes over the routes that were read from the control record; `asked_at` is when the reading began."""
        self._learned_at = asked_at
        if self.has_target_routes:
            self._target_until = asked_at + PROPAGATION_SECONDS
        self._known = {
            name: route for name, route in routes.items() if name not in NEVER_ROUTED and not route.is_plain
        }
        for name in [name for name, route in self._left_off.items() if self._known.get(name) != route]:
            del self._left_off[name]
        self._since = {name: self._since.get(name, asked_at) for name in self._targeted()}
        self.used = {name: route for name, route in self._known.items() if name not in self._left_off}

    def leave_off(self, collection: str) -> None:
        """Follows the route of a collection no more, until another one is set."""
        route = self.used.pop(collection, None)
        if route is not None:
            self._left_off[collection] = route

    def may_use_target(self, collection: str) -> bool:
        """Whether all processes know that the target answers reads of this collection."""
        now = self._monotonic()
        if self._learned_at is None or now - self._learned_at > ROUTES_AGE_SECONDS_MAX:
            return False
        return now - self._since.get(collection, now) >= PROPAGATION_SECONDS

    @property
    def has_target_routes(self) -> bool:
        """Whether the target answers reads by the routes as they were read last."""
        return any(route.target_percent for route in self._known.values())

    @property
    def others_may_use_target(self) -> bool:
        """Whether some process may let the target answer, as far as this one can exclude it."""
        now = self._monotonic()
        is_outdated = self._learned_at is not None and now - self._learned_at > ROUTES_AGE_SECONDS_MAX
        return is_outdated or self.has_target_routes or now < self._target_until

    def _targeted(self) -> list[str]:
        return [name for name, route in self._known.items() if route.target_percent]
