"""Tables that somebody changes by hand, in a database of each test's own."""

from collections.abc import AsyncIterator

import pytest

from adapters.postgres.record_store import PostgresRecordStore


@pytest.fixture
def url(prepared_postgres_url: str) -> str:
    return prepared_postgres_url


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresRecordStore]:
    """A store that was opened before anything is changed."""
    opened = PostgresRecordStore(url)
    await opened.open()
    yield opened
    await opened.close()
