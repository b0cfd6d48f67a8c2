"""Counters of HTTP requests, kept in plain dictionaries and rendered when Prometheus asks."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from application.ports.health import ComponentHealth
from application.ports.synchronisation import CollectionSync, SyncMetrics

BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SERIES_MAX = 2_000
"""How many combinations of route, method and status are counted separately; later ones count as OTHER."""

OTHER = "OTHER"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_Key = tuple[str, str, int]


class RequestMetrics:
    """Counts requests and their durations by route template, method and status; one process, one thread."""

    def __init__(self, *, beside: Callable[[], str] = str) -> None:
        self._beside = beside
        # Each series: a count per bucket, one for slower requests, then the sum of seconds.
        self._series: dict[_Key, list[float]] = {}

    def observe(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one request. The route is a template, never a path with ids in it."""
        key = (route, method, status)
        series = self._series.get(key)
        if series is None:
            series = self._new_series(key)
        series[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        series[-1] += seconds

    def render(
        self, sync: SyncMetrics | None = None, components: Mapping[str, ComponentHealth] | None = None
    ) -> str:
        """Everything counted so far, and the state of the components and of the mirror, as Prometheus text 0.0.4."""
        lines = [*self._counters(), *self._histogram(), *_component_gauges(components or {})]
        if sync is not None and sync.target is not None:
            lines += _sync_gauges(sync)
        return "\n".join(lines) + "\n" + self._beside()

    def _new_series(self, key: _Key) -> list[float]:
        route, method, status = key
        if method not in _METHODS:
            key = (route, OTHER, status)
        if len(self._series) >= SERIES_MAX and key not in self._series:
            key = (OTHER, OTHER, status)
        return self._series.setdefault(key, [0.0] * (len(BUCKETS_SECONDS) + 2))

    def _counters(self) -> Iterator[str]:
        name = "tandem_http_requests_total"
        yield from _header(name, "counter", "HTTP requests answered.")
        for key, series in sorted(self._series.items()):
            yield f"{name}{{{_labels(key)}}} {sum(series[:-1]):.0f}"

    def _histogram(self) -> Iterator[str]:
        name = "tandem_http_request_duration_seconds"
        yield from _header(name, "histogram", "Durations of HTTP requests.")
        for key, series in sorted(self._series.items()):
            labels, below = _labels(key), 0.0
            for bound, count in zip(BUCKETS_SECONDS, series, strict=False):
                below += count
                yield f'{name}_bucket{{{labels},le="{bound:g}"}} {below:.0f}'
            total = below + series[-2]
            yield f'{name}_bucket{{{labels},le="+Inf"}} {total:.0f}'
            yield f"{name}_sum{{{labels}}} {series[-1]:.6f}"
            yield f"{name}_count{{{labels}}} {total:.0f}"


def _labels(key: _Key) -> str:
    route, method, status = key
    return f'route="{_escaped(route)}",method="{method}",status="{status}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _header(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _component_gauges(components: Mapping[str, ComponentHealth]) -> Iterator[str]:
    """The detail is a label: there are few components, and each has one detail at a time."""
    if components:
        yield from _header("tandem_component_up", "gauge", "1 up, 0.5 degraded, 0 down; the label says why.")
    for name, part in sorted(components.items()):
        value = {"UP": "1", "DEGRADED": "0.5"}.get(part.status, "0")
        labels = f'component="{_escaped(name)}",detail="{_escaped(part.detail or "")}"'
        yield f"tandem_component_up{{{labels}}} {value}"


def _sync_gauges(sync: SyncMetrics) -> Iterator[str]:
    names = f'source="{_escaped(sync.source)}",target="{_escaped(sync.target or "")}",mode="{_escaped(sync.mode)}"'
    yield from _header("tandem_sync_target_reachable", "gauge", "Whether the target answers.")
    yield f"tandem_sync_target_reachable{{{names}}} {int(sync.target_reachable)}"
    yield from _header("tandem_sync_paused", "gauge", "Whether mirroring is paused.")
    yield f"tandem_sync_paused{{{names}}} {int(sync.paused)}"
    yield from _header("tandem_sync_entries", "gauge", "Audit entries by mirror status.")
    for row in sync.collections:
        for status in ("synced", "pending", "failed", "parked"):
            labels = f'collection="{_escaped(row.collection)}",status="{status}"'
            yield f"tandem_sync_entries{{{labels}}} {getattr(row, status)}"
    yield from _header(
        "tandem_sync_oldest_pending_seconds", "gauge", "Age of the oldest entry that is not yet mirrored."
    )
    for row in sync.collections:
        yield f'tandem_sync_oldest_pending_seconds{{collection="{_escaped(row.collection)}"}} {_age_seconds(row):.3f}'


def _age_seconds(row: CollectionSync) -> float:
    return (row.oldest_pending_age_ms or 0) / 1000
