"""The operator's decisions about the mirror, and the bounds of everything in it that grows."""

from dataclasses import dataclass
from enum import StrEnum


class MirrorMode(StrEnum):
    """When a write is answered."""

    MIRROR = "mirror"
    """When the target confirmed or the time-out passed; a failed mirror never fails the request."""
    STRICT = "strict"
    """When the target confirmed; otherwise MirrorPending, with the change durable in the source."""
    RELAY = "relay"
    """When the source has it; the relay mirrors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DualWriteSettings:
    """Decisions first, bounds after. Not `enabled` means paused: entries stay PENDING and drain later."""

    mode: MirrorMode = MirrorMode.MIRROR
    enabled: bool = True
    timeout_ms: int = 500
    retry_attempts: int = 3
    retry_delay_seconds: float = 5.0

    retry_delay_seconds_max: float = 300.0
    # One time-out is enough: every waiting request has already waited its full time. Errors are cheap, and a single
    # one is often a connection that died idle, so three in a row.
    breaker_timeouts_max: int = 1
    breaker_errors_max: int = 3
    probe_delay_seconds: float = 0.25
    probe_delay_seconds_max: float = 15.0
    probe_timeout_ms: int = 2_000
    connect_timeout_ms: int = 3_000
    prepare_timeout_ms: int = 60_000
    # A flush the target never answered keeps a connection; beyond this many the target is not called at all.
    abandoned_max: int = 4
    queue_max: int = 5_000
    batch_records_max: int = 500
    # A record may hold some 100 KB of text, and indexing text takes time by the byte.
    batch_bytes_max: int = 1_048_576
    # Larger change sets would take longer than a request waits; the relay, which has more time, delivers them.
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
        """How long an entry belongs to the request that wrote it before the relay takes it up."""
        return 2 * self.timeout_ms + 2 * self.mark_interval_ms
