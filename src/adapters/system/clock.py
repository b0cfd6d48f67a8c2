"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """The port Clock: UTC, cut to whole milliseconds."""

    def now(self) -> datetime:
        instant = datetime.now(UTC)
        return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
