"""The latency of the last seconds."""

import pytest

from adapters.observability.recent_latency import SAMPLES_MAX, SAMPLES_MIN, WINDOW_SECONDS, RecentLatency


def test_the_slowest_hundredth_of_the_last_seconds_counts() -> None:
    now = 100.0
    latency = RecentLatency(monotonic=lambda: now)
    latency.note(9.0, ended_at=now - WINDOW_SECONDS - 1)
    for milliseconds in range(1, 201):
        latency.note(milliseconds / 1000, ended_at=now)
    assert latency.p99_ms() == pytest.approx(199)
    now += WINDOW_SECONDS + 1
    assert latency.p99_ms() is None


def test_few_operations_say_nothing() -> None:
    latency = RecentLatency(monotonic=lambda: 1.0)
    for number in range(SAMPLES_MIN):
        assert latency.p99_ms() is None, number
        latency.note(0.5, ended_at=1.0)
    assert latency.p99_ms() == pytest.approx(500)


def test_only_the_newest_operations_are_kept() -> None:
    latency = RecentLatency(monotonic=lambda: 1.0)
    for _ in range(SAMPLES_MAX):
        latency.note(9.0, ended_at=1.0)
    for _ in range(SAMPLES_MAX):
        latency.note(0.001, ended_at=1.0)
    assert latency.p99_ms() == pytest.approx(1)
