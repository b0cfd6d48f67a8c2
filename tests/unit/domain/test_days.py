from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from domain.user import start_of_day


@pytest.mark.parametrize(
    ("day", "zone", "expected"),
    [
        (date(2026, 12, 5), "UTC", datetime(2026, 12, 5, tzinfo=UTC)),
        (date(2026, 12, 5), "Europe/Berlin", datetime(2026, 12, 4, 23, tzinfo=UTC)),
        (date(2026, 7, 5), "Europe/Berlin", datetime(2026, 7, 4, 22, tzinfo=UTC)),
        (date(2026, 12, 5), "America/New_York", datetime(2026, 12, 5, 5, tzinfo=UTC)),
        (date.min, "Asia/Tokyo", datetime.min.replace(tzinfo=UTC)),
        (date.max, "Pacific/Pago_Pago", datetime(9999, 12, 31, 11, tzinfo=UTC)),
        (date.min, "America/New_York", None),
    ],
)
def test_a_day_begins_at_its_midnight_where_the_reader_is(
    day: date, zone: str, expected: datetime | None
) -> None:
    begun = start_of_day(day, ZoneInfo(zone))
    if expected is not None:
        assert begun == expected
    assert datetime.min.replace(tzinfo=UTC) <= begun <= datetime.max.replace(tzinfo=UTC)
