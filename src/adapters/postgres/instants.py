"""Instants as the rest of the program knows them: aware, and in UTC."""

from datetime import UTC, datetime, timedelta

from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Loader

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class InstantLoader(Loader):
    """Reads an instant in binary form. The driver's own loader shows it in the time zone that the server reported last,
    and that may be a zone which a pooler reported of another client's session.
    """

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> datetime:
        """Raises OverflowError for instants that Python cannot hold."""
        return _EPOCH + timedelta(microseconds=int.from_bytes(data, "big", signed=True))
