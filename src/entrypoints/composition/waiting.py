"""Repeats a call while a store does not answer."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import tenacity
from loguru import logger

from domain.errors import StoreUnavailable

R = TypeVar("R")
PAUSE_SECONDS_MAX = 5.0

OnFailure = Callable[[StoreUnavailable], None]


async def until_available(
    call: Callable[[], Awaitable[R]],
    *,
    store_name: str,
    within_seconds: float | None,
    unless: type[StoreUnavailable] | tuple[()] = (),
    on_failure: OnFailure | None = None,
) -> R:
    """The result of the first call that does not raise StoreUnavailable, with growing pauses between the calls.

    Raises that StoreUnavailable after `within_seconds`; None waits for ever. Raises everything else, and the kind
    `unless`, at once. `on_failure` is told why the call failed, each time that it is repeated.
    """
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, StoreUnavailable) and not isinstance(error, unless)
        ),
        wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=PAUSE_SECONDS_MAX, jitter=0.5),
        stop=tenacity.stop_never if within_seconds is None else tenacity.stop_after_delay(within_seconds),
        reraise=True,
        before_sleep=partial(_note, store_name, on_failure),
    )

    async def call_once() -> R:
        # Tenacity awaits coroutine functions only, and a lambda that returns a coroutine is none.
        return await call()

    result: R = await retrying(call_once)
    return result


def _note(store_name: str, on_failure: OnFailure | None, state: tenacity.RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    if not isinstance(error, StoreUnavailable):
        return
    logger.warning(
        "The {} store cannot be used yet (attempt {}). Trying again. The cause: {}",
        store_name,
        state.attempt_number,
        error.message,
    )
    if on_failure is not None:
        on_failure(error)
