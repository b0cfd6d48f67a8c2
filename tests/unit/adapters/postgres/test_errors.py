"""The translation of driver errors."""

import psycopg
import pytest
from psycopg import errors as driver
from psycopg_pool import PoolTimeout

from adapters.postgres.contention import ATTEMPTS_MAX, retried
from adapters.postgres.errors import AnswerLost, Contention, translated, translation_of
from adapters.postgres.rows import Unstorable
from adapters.records.record_store import SchemaMissing
from domain.errors import RuleBroken, StoreUnavailable, TandemError


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (driver.SerializationFailure(), Contention),
        (driver.DeadlockDetected(), Contention),
        (driver.LockNotAvailable(), Contention),
        (driver.QueryCanceled(), StoreUnavailable),
        (driver.DiskFull(), StoreUnavailable),
        (driver.TooManyConnections(), StoreUnavailable),
        (driver.ReadOnlySqlTransaction(), StoreUnavailable),
        (driver.AdminShutdown(), AnswerLost),
        (driver.ConnectionTimeout(), AnswerLost),
        (psycopg.OperationalError("server closed the connection"), AnswerLost),
        (PoolTimeout(), StoreUnavailable),
        (psycopg.InterfaceError("the connection is closed"), StoreUnavailable),
        (driver.UndefinedTable(), SchemaMissing),
        (driver.NumericValueOutOfRange(), RuleBroken),
        (driver.UntranslatableCharacter(), RuleBroken),
        (driver.ProgramLimitExceeded(), RuleBroken),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), RuleBroken),
        (Unstorable("The field n is odd."), RuleBroken),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), RuleBroken),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_an_error_of_the_driver_has_one_meaning(error: Exception, meaning: type[TandemError]) -> None:
    with pytest.raises(TandemError) as translation, translated():
        raise error
    assert isinstance(translation.value, meaning)
    assert translation.value.__cause__ is error
    assert translation.value.message


def test_a_pool_without_a_free_connection_loses_no_answer() -> None:
    assert not isinstance(translation_of(PoolTimeout()), AnswerLost)


def test_no_value_is_shown() -> None:
    secret = psycopg.DataError('invalid input syntax for type bigint: "secret"')
    assert "secret" not in translation_of(secret).message


def test_our_own_errors_pass_unchanged() -> None:
    ours = RuleBroken("as it was")
    with pytest.raises(RuleBroken) as passed, translated():
        raise ours
    assert passed.value is ours


async def test_contention_is_tried_again() -> None:
    tries: list[int] = []

    async def second_time_lucky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise Contention
        return "done"

    assert await retried(second_time_lucky) == "done"
    assert len(tries) == 2


async def test_lasting_contention_is_reported_after_a_bounded_number_of_attempts() -> None:
    tries: list[int] = []

    async def never() -> None:
        tries.append(1)
        raise Contention

    with pytest.raises(StoreUnavailable):
        await retried(never)
    assert len(tries) == ATTEMPTS_MAX
