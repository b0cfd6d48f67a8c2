"""The one place that knows what the Redis driver raises."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError


class CacheUnavailable(Exception):
    """The cache server did not do what it was asked in time, or nobody knows whether it did."""


@contextmanager
def translated() -> Iterator[None]:
    """Raises CacheUnavailable for whatever the driver, the network or the time-out raise, a fault of the driver too:
    a cache may fail no request and leave no caller waiting.
    """
    try:
        yield
    except TimeoutError as error:
        raise CacheUnavailable("no answer in time") from error
    except (RedisError, OSError) as error:
        raise CacheUnavailable(str(error)) from error
    except Exception as error:
        raise CacheUnavailable(f"{type(error).__name__}: {error}") from error


def is_refusal(answer: object) -> bool:
    """Whether the server answered that it cannot do what it was asked."""
    return isinstance(answer, RedisError)
