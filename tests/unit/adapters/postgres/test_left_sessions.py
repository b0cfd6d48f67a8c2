"""What is known of sessions that were left, while looks for them are under way."""

import asyncio

import pytest

from adapters.postgres.left_sessions import AGAIN_SECONDS, LeftSessions, WaitsForStandby
from domain.errors import StoreUnavailable


class Server:
    """The sessions that run there, by whether they wait for a standby. An answer takes a moment."""

    def __init__(self, left: LeftSessions, running: dict[int, bool]) -> None:
        self._left = left
        self.running = running
        self.asked: list[dict[str, list[int]]] = []

    async def look(self) -> None:
        asked = self._left.parameters(is_ending=True)
        self.asked.append(asked)
        await asyncio.sleep(AGAIN_SECONDS / 10)
        rows = [(pid, waits, None) for pid, waits in self.running.items() if pid in asked["left"]]
        for pid in asked["ending"]:
            self.running.pop(pid, None)
        self._left.learn(asked["left"], rows)


async def test_those_who_write_at_the_same_time_share_one_look() -> None:
    left = LeftSessions()
    server = Server(left, {1: False})
    left.note(1, look=None)
    await asyncio.gather(*(left.require_commits(server.look) for _ in range(10)))
    assert server.asked == [{"left": [1], "ending": []}]


async def test_writes_go_on_where_a_look_gets_no_answer() -> None:
    left = LeftSessions()

    async def look() -> None:
        raise StoreUnavailable

    left.note(1, look=None)
    await left.require_commits(look)


async def test_writes_are_refused_while_a_session_waits_for_a_standby() -> None:
    left = LeftSessions()
    server = Server(left, {1: True})
    left.note(1, look=None)
    for _ in range(2):
        with pytest.raises(WaitsForStandby):
            await left.require_commits(server.look)


async def test_a_session_that_is_left_during_a_look_is_ended_by_another_one() -> None:
    left = LeftSessions()
    server = Server(left, {1: False, 2: False})
    left.note(1, look=server.look)
    await asyncio.sleep(0)
    left.note(2, look=server.look)
    await asyncio.sleep(5 * AGAIN_SECONDS)
    assert server.running == {}
    assert left.parameters()["left"] == []
    assert server.asked[0] == {"left": [1], "ending": [1]}


def test_asking_ends_nothing_unless_that_is_wanted() -> None:
    left = LeftSessions()
    left.note(1, look=None)
    assert left.parameters() == {"left": [1], "ending": []}
