"""Figures that were chosen by measuring, and that tests set to other values to reach every path."""

from dataclasses import dataclass
from enum import Enum


class Strategy(Enum):
    """How pages are read that no index answers completely."""

    BY_ESTIMATE = "by estimate"
    GATHER = "gather"
    """Collect all matches and sort them."""
    ORDER_AND_LIST = "order and list"
    """Follow the order's index; the rows that contain the words are listed once."""
    ORDER_AND_PROBE = "order and probe"
    """Follow the order's index; the full-text index is asked about each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Bounds of one store."""

    stale_max: int = 100
    """So many changed texts are indexed together; until then searches read them."""
    strategy: Strategy = Strategy.BY_ESTIMATE
    busy_seconds: float = 5.0
    """How long to wait while another program holds the file; this process has one writer."""
    on_loop_ms: float = 3.0
    """How long a statement may occupy the event loop; then it is repeated in a thread."""
    on_loop_rows_max: int = 400
    """A read that is expected to touch more scattered rows goes to a thread at once."""
    checkpoint_pages: int = 1_000
    """How many pages the WAL holds before they are written to the database."""
