"""Figures that were chosen by measuring, and that tests set to other values to reach every path."""

from dataclasses import dataclass
from enum import Enum


class Strategy(Enum):
    """How a page is read that no index answers completely: gathered and sorted, or in the order of an index.

    In an order, the rows with the words are listed once, or the full-text index is asked about each row.
    """

    BY_ESTIMATE = "by estimate"
    GATHER = "gather"
    ORDER_AND_LIST = "order and list"
    ORDER_AND_PROBE = "order and probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """`stale_max` changed texts are indexed together; until then searches read them. `busy_seconds` is how long to
    wait while another program holds the file. After `on_loop_ms` a read leaves the event loop for a thread, and at once
    where it is expected to touch more than `on_loop_rows_max` scattered rows. SQLite's log holds some
    `checkpoint_pages`; overlapping reads make it grow, so from `log_bytes_max` on a commit waits for their end.
    """

    stale_max: int = 100
    strategy: Strategy = Strategy.BY_ESTIMATE
    busy_seconds: float = 5.0
    on_loop_ms: float = 3.0
    on_loop_rows_max: int = 400
    checkpoint_pages: int = 1_000
    log_bytes_max: int = 64 * 2**20
