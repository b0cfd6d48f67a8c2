"""Sessions of transactions that end at the server, whatever became of the call that began them.

A transaction that nobody ends keeps its documents locked until the server ends it, a minute later. After a time-out or
a cancellation, the driver's own abort would share the deadline that has passed, so it would never be sent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context

import pymongo
from loguru import logger
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import ConnectionFailure, PyMongoError

from adapters.mongo.documents import Document

ENDING_SECONDS_MAX = 5.0
"""The time limit of one attempt to end a transaction."""
ENDING_ATTEMPTS_MAX = 6
ENDING_PAUSE_SECONDS = 0.5
WAIT_SECONDS_MAX = 1.0
"""How long a call that failed within its deadline waits, so that what it does next does not meet its own locks."""
ENDINGS_MAX = 200
"""How many transactions are being ended at the same time; the server itself ends what is beyond that."""


class Sessions:
    """The sessions of one client, and the transactions that are still being ended."""

    def __init__(self, client: AsyncMongoClient[Document]) -> None:
        self._client = client
        self._endings: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AsyncClientSession]:
        """A session for one transaction. An error in the body ends the transaction, in a task of its own."""
        session = self._client.start_session(causal_consistency=False)
        try:
            yield session
        except BaseException as error:
            ending = self._begin_ending(session, is_doubtful=_is_doubtful(error))
            if ending is not None and not _is_late(error):
                await asyncio.wait((ending,), timeout=WAIT_SECONDS_MAX)
            raise
        await session.end_session()

    async def close(self) -> None:
        """Waits for the transactions that are being ended, for one attempt at most."""
        if self._endings:
            _, late = await asyncio.wait(tuple(self._endings), timeout=ENDING_SECONDS_MAX)
            for ending in late:
                ending.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _begin_ending(self, session: AsyncClientSession, *, is_doubtful: bool) -> asyncio.Task[None] | None:
        if len(self._endings) >= ENDINGS_MAX:
            return None
        end = self._kill(session) if is_doubtful else self._abort(session)
        # An empty context, because the deadline of the call does not hold for this.
        ending = asyncio.get_running_loop().create_task(end, name="end transaction", context=Context())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return ending

    async def _abort(self, session: AsyncClientSession) -> None:
        """After an answer of the server, which has often ended the transaction already."""
        with pymongo.timeout(ENDING_SECONDS_MAX):
            # The driver ignores its errors.
            await session.end_session()

    async def _kill(self, session: AsyncClientSession) -> None:
        """Where an answer is missing: a statement or the commit may still run at the server, which ends it, too."""
        try:
            for _ in range(ENDING_ATTEMPTS_MAX):
                if await self._is_killed(session):
                    return
                await asyncio.sleep(ENDING_PAUSE_SECONDS)
            logger.warning(
                "MongoDB does not answer, so a transaction stays open until the server ends it itself."
            )
        finally:
            with pymongo.timeout(ENDING_SECONDS_MAX):
                await session.end_session()

    async def _is_killed(self, session: AsyncClientSession) -> bool:
        try:
            with pymongo.timeout(ENDING_SECONDS_MAX):
                await self._client.admin.command("killSessions", [session.session_id])
        except PyMongoError as error:
            logger.debug("A transaction could not be ended yet: {}", error)
            return False
        return True


def _is_doubtful(error: BaseException) -> bool:
    """Whether the server may still work on what it was sent."""
    return not isinstance(error, Exception) or isinstance(error, ConnectionFailure) or _is_timeout(error)


def _is_late(error: BaseException) -> bool:
    """Whether the caller has no time left to wait."""
    return not isinstance(error, Exception) or _is_timeout(error)


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, PyMongoError) and error.timeout
