"""Counters of store operations, kept in plain dictionaries and rendered when Prometheus asks."""

from bisect import bisect_left
from collections.abc import Iterator

BUCKETS_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0)
"""From a read in memory to a time-out; the buckets of HTTP requests would be too coarse."""

NAME = "tandem_store_operation_duration_seconds"

_Key = tuple[str, str, str]


class StoreMetrics:
    """Counts operations of one store and their durations by operation, collection and outcome.

    The series are bounded by the specs: one for each collection, and one for operations that span several.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        # Each series: a count per bucket, one for slower operations, then the sum of seconds.
        self._series: dict[_Key, list[float]] = {}

    def observe(self, key: _Key, seconds: float) -> None:
        """Counts one operation, given as (operation, collection, outcome)."""
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = [0.0] * (len(BUCKETS_SECONDS) + 2)
        series[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        series[-1] += seconds

    def count_of(self, operation: str, collection: str, outcome: str) -> int:
        """How many such operations have ended."""
        series = self._series.get((operation, collection, outcome))
        return 0 if series is None else int(sum(series[:-1]))

    def render(self) -> str:
        """Everything counted so far as Prometheus text 0.0.4; empty before the first operation."""
        return "".join(f"{line}\n" for line in self._lines()) if self._series else ""

    def _lines(self) -> Iterator[str]:
        yield f"# HELP {NAME} Durations of store operations."
        yield f"# TYPE {NAME} histogram"
        for (operation, collection, outcome), series in sorted(self._series.items()):
            labels = (
                f'store="{self._store}",operation="{operation}",collection="{collection}",outcome="{outcome}"'
            )
            below = 0.0
            for bound, count in zip(BUCKETS_SECONDS, series, strict=False):
                below += count
                yield f'{NAME}_bucket{{{labels},le="{bound:g}"}} {below:.0f}'
            total = below + series[-2]
            yield f'{NAME}_bucket{{{labels},le="+Inf"}} {total:.0f}'
            yield f"{NAME}_sum{{{labels}}} {series[-1]:.9f}"
            yield f"{NAME}_count{{{labels}}} {total:.0f}"


def render_damaged(store: str, count: int) -> str:
    """How many records are known that cannot be read, as Prometheus text 0.0.4."""
    name = "tandem_damaged_records"
    return (
        f"# HELP {name} Stored records that are known to be damaged.\n"
        f'# TYPE {name} gauge\n{name}{{store="{store}"}} {count}\n'
    )
