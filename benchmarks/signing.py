"""The cost of verifying an access token: a new one, and a cached one."""

import time
from collections.abc import Callable

from adapters.auth.jwt_tokens import JwtTokens
from adapters.auth.keys import load_key_pair
from adapters.system.clock import SystemClock
from application.ports.tokens import Identity
from benchmarks.report import Figure, Report

SECTION = "Signing"
TOKENS = 400
CALLS = 20_000
ROUNDS = 7


async def measure(report: Report) -> None:
    """The thread's CPU time per check, the least of several rounds."""
    keys, clock = load_key_pair(None, None), SystemClock()
    issuer = JwtTokens(keys, clock=clock)
    identity = Identity("a" * 24, frozenset({"admin"}), "5" * 24)
    tokens = [issuer.issue(identity).access_token for _ in range(TOKENS)]

    # A new reader has an empty cache, so every token is new to it.
    fresh_us = min(_each_us(JwtTokens(keys, clock=clock).read, tokens) for _ in range(ROUNDS))
    reader = JwtTokens(keys, clock=clock)
    known_us = min(_each_us(reader.read, tokens[:1] * CALLS) for _ in range(ROUNDS))
    raw = f"least of {ROUNDS} rounds of {TOKENS}"
    report.add(SECTION, Figure("a new token", fresh_us, "µs", "–", None, raw))
    raw = f"least of {ROUNDS} rounds of {CALLS}"
    report.add(SECTION, Figure("a cached token", known_us, "µs", "–", None, raw))


def _each_us(check: Callable[[str], object], tokens: list[str]) -> float:
    began = time.thread_time_ns()
    for token in tokens:
        check(token)
    return (time.thread_time_ns() - began) / len(tokens) / 1_000
