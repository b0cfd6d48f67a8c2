"""Transactions that are retried where the server reports that this is safe, within the caller's deadline."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from adapters.mongo.client import DURABLE
from adapters.mongo.errors import WRITE_CONFLICT, code_of
from adapters.mongo.sessions import Sessions

T = TypeVar("T")

ATTEMPTS_MAX = 100
COMMIT_ATTEMPTS_MAX = 5
PAUSE_MS_MAX = 64

_JITTER = secrets.SystemRandom()


class Transaction:
    """One unit of work on the server: majority-committed and journaled, or without effect.

    `is_answer_lost` is set once the reply to a commit was lost: from then on, a conflict may be one with this very
    transaction.
    """

    def __init__(
        self,
        sessions: Sessions,
        read_concern: ReadConcern,
        *,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:
        self._sessions = sessions
        self._read_concern = read_concern
        self._attempts_max = attempts_max
        self.is_answer_lost = False

    async def run(self, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """Returns the result of `work` once it is committed. `work` may run several times, on current data."""
        for attempt in range(self._attempts_max - 1):
            try:
                return await self._attempt(work)
            except PyMongoError as error:
                if not _may_repeat(error):
                    raise
            await _pause(attempt)
        return await self._attempt(work)

    async def _attempt(self, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        async with self._sessions.opened() as session:
            await session.start_transaction(
                read_concern=self._read_concern,
                write_concern=DURABLE,
                # Not the preference of the URI, which may name secondaries.
                read_preference=ReadPreference.PRIMARY,
            )
            answer = await work(session)
            await self._commit(session)
            return answer

    async def _commit(self, session: AsyncClientSession) -> None:
        """Commits, and retries where the reply was lost: a commit takes effect once, however often it is sent."""
        for attempt in range(COMMIT_ATTEMPTS_MAX - 1):
            try:
                await session.commit_transaction()
                return
            except PyMongoError as error:
                self.is_answer_lost = True
                if error.timeout or not error.has_error_label("UnknownTransactionCommitResult"):
                    raise
            await _pause(attempt)
        await session.commit_transaction()


def _may_repeat(error: PyMongoError) -> bool:
    """Whether the transaction was not stored, or a retry would conflict with what it stored."""
    if error.timeout:
        return False
    is_transient = error.has_error_label("TransientTransactionError") or isinstance(error, ConnectionFailure)
    return is_transient or code_of(error) == WRITE_CONFLICT


async def _pause(attempt: int) -> None:
    """A random pause that grows with the attempts, so that writers do not collide again."""
    await asyncio.sleep(_JITTER.random() * min(2**attempt, PAUSE_MS_MAX) / 1_000)
