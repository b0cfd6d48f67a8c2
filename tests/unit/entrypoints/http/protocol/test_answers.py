"""Instants as clients read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from entrypoints.http.protocol.answers import instant_text

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (NOON, "2026-03-02T12:00:00.000Z"),
        (NOON.replace(microsecond=7_000), "2026-03-02T12:00:00.007Z"),
        (NOON.replace(microsecond=120_000), "2026-03-02T12:00:00.120Z"),
        (NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-03-02T12:00:00.000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_three_digits_of_milliseconds(instant: datetime, text: str) -> None:
    assert instant_text(instant) == text
