"""The settings of the mirror: the operator's decisions, and the bounds of everything that grows."""

from dataclasses import dataclass
from enum import StrEnum


class MirrorMode(StrEnum):
    """Determines when a write is answered."""

    MIRROR = "mirror"
    """After the target has confirmed it or the time-out has passed; a failed mirror never fails the request."""
    STRICT = "strict"
    """After the target has confirmed it; otherwise MirrorPending is raised, with the change durable in the source."""
    RELAY = "relay"
    """After the source has stored it; the relay mirrors it later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DualWriteSettings:
    """Decisions, then bounds. If `enabled` is false, mirroring is paused: entries stay PENDING until later."""

    mode: MirrorMode = MirrorMode.MIRROR
    enabled: bool = True
    timeout_ms: int = 500
    retry_attempts: int = 3
    retry_delay_seconds: float = 5.0

    retry_delay_seconds_max: float = 300.0
    # One time-out is enough, because every waiting request has already waited its full time. Errors cost little time,
    # and a single one is often an idle connection that broke, so the breaker opens after three in a row.
    breaker_timeouts_max: int = 1
    breaker_errors_max: int = 3
    probe_delay_seconds: float = 0.25
    # A target that is put right is used again within ten seconds.
    probe_delay_seconds_max: float = 6.0
    probe_timeout_ms: int = 2_000
    connect_timeout_ms: int = 3_000
    prepare_timeout_ms: int = 60_000
    # A flush that the target never answers occupies a connection; beyond this number the target is not called.
    abandoned_max: int = 4
    queue_max: int = 5_000
    # Others only run beside flushes that are late, and on other tables. Each occupies a connection.
    flushes_max: int = 4
    batch_records_max: int = 500
    # A record may hold some 100 KB of text, and the time for indexing grows with the text.
    batch_bytes_max: int = 1_048_576
    # Larger change sets would take longer than a request waits, so the relay, which has more time, delivers them.
    direct_records_max: int = 1_000
    mark_interval_ms: int = 50
    mark_batch_max: int = 500
    mark_queue_max: int = 20_000
    relay_interval_ms: int = 1_000
    relay_timeout_ms: int = 15_000
    relay_page_max: int = 500
    revisit_interval_ms: int = 30_000
    lease_ms: int = 10_000
    close_timeout_ms: int = 5_000

    @property
    def grace_ms(self) -> int:
        """The grace period during which the relay leaves a new entry to the request that wrote it."""
        return 2 * self.timeout_ms + 2 * self.mark_interval_ms
