"""Figures that were chosen by measurement; tests use other values to reach every path."""

from dataclasses import dataclass
from enum import Enum


class Strategy(Enum):
    """How to read a page that no index answers completely: gather and sort all matches, or follow an index.

    With an index, the rows with the words are listed once, or those with the whole words, or each row is read.
    """

    BY_ESTIMATE = "by estimate"
    GATHER = "gather"
    ORDER_AND_LIST = "order and list"
    ORDER_AND_SIFT = "order and sift"
    ORDER_AND_PROBE = "order and probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """`stale_max` changed texts are indexed together; until then searches read them. `busy_ms` is the longest wait
    for a lock of another program. A read moves from the event loop to a thread after `on_loop_ms`, or at once if it
    is expected to read more than `on_loop_rows_max` scattered rows. The WAL holds about `checkpoint_pages`;
    overlapping reads make it grow, so from `log_bytes_max` on a commit waits for their end.
    """

    stale_max: int = 100
    strategy: Strategy = Strategy.BY_ESTIMATE
    busy_ms: int = 5_000
    on_loop_ms: float = 3.0
    on_loop_rows_max: int = 400
    checkpoint_pages: int = 1_000
    log_bytes_max: int = 64 * 2**20
