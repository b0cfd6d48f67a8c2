"""What is wrong with the mirror, in words for operators: rejected changes, and changes that wait for too long."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from application.ports.synchronisation import SyncMetrics

LAG_SECONDS_MAX = 60.0
"""The age of the oldest waiting change beyond which the target is not a current copy."""
RELAY_SILENT_SECONDS_MAX = 60.0
"""How long the relay of a process may take for one page or pause between two rounds; beyond it something is stuck."""


def troubles_of(metrics: SyncMetrics, *, relay_silent_seconds: float | None, now: datetime) -> Iterator[str]:
    """One sentence or two for each trouble: what, since when, and what to type. Nothing for a mirror that works.

    `relay_silent_seconds`: since the relay of this process made its last step; None where it does not run here.
    """
    totals = metrics.totals
    if totals.failed + totals.parked:
        yield (
            f"{totals.failed} changes failed and {totals.parked} are parked."
            " For the reasons, type: tandem sync failures"
        )
    waiting = totals.pending + totals.failed
    backlog = "1 change waits" if waiting == 1 else f"{waiting} changes wait"
    lag_seconds = metrics.lag_ms / 1_000
    since = _ago(now, lag_seconds)
    if metrics.paused and waiting:
        yield (
            f"Mirroring is paused, and {backlog}, the oldest since {since}."
            " To go on, set DUAL_WRITE_ENABLED=true and start again: tandem serve"
        )
    elif lag_seconds > LAG_SECONDS_MAX:
        yield f"{backlog}, the oldest since {since}. For the cause, type: tandem sync status"
    if relay_silent_seconds is not None and relay_silent_seconds > RELAY_SILENT_SECONDS_MAX:
        yield (
            f"The relay of this process has done nothing since {_ago(now, relay_silent_seconds)}."
            " If that lasts, start the process again: tandem serve"
        )


def _ago(now: datetime, seconds: float) -> str:
    return f"{now - timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC"
