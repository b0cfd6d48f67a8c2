"""Two processes write at once: every order of their steps, and every step at which one or both may die."""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

import pytest

from adapters.records.record import VERSION
from domain.errors import AlreadyExists, VersionConflict
from tests.unit.adapters.dual_write.virtual_time import advance, simulate
from tests.unit.adapters.dual_write.world import LABEL, Process, Stores, assert_promises, end, recover
from tests.unit.builders import numbered_id
from tests.unit.faults import Moment, Step

STEPS = ("fetch", "commit", "apply", "mark")

Writer = Callable[[Process], Awaitable[None]]


class Turns:
    """A gate that opens once for each turn its process is given."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.is_free = True

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def give(self) -> None:
        self._waiting.popleft().set_result(None)

    async def __call__(self, step: Step) -> None:
        if self.is_free or step.moment is Moment.AFTER or step.operation not in STEPS:
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn


class Player:
    """One process, one writer in it, and how many turns it lives for (None for as many as it needs)."""

    def __init__(self, stores: Stores, writer: Writer, lives_for: int | None = None) -> None:
        self.turns = Turns()
        self.process = Process(stores, source_gate=self.turns, target_gate=self.turns)
        self._writer = writer
        self._turns_left = lives_for
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.process.store.open()
        self.turns.is_free = False
        self._task = asyncio.ensure_future(self._write())

    async def take_turn(self) -> bool:
        """Up to its next step. Answers whether there was anything to do, and life left to do it."""
        if not self.turns.is_waiting or self._turns_left == 0:
            return False
        if self._turns_left is not None:
            self._turns_left -= 1
        self.turns.give()
        await self.come_to_rest()
        return True

    async def come_to_rest(self) -> None:
        """Until its next step, or until nothing moves any more; the marks' timer takes part."""
        for _ in range(25):
            await asyncio.sleep(0)
            advance(0.001)
            if self.turns.is_waiting:
                return

    async def _write(self) -> None:
        try:
            await self._writer(self.process)
        except (VersionConflict, AlreadyExists):
            return


def orders(left: int = len(STEPS), right: int = len(STEPS)) -> Iterator[tuple[int, ...]]:
    """Every order in which two players can take so many turns each."""
    length = left + right
    for firsts in itertools.combinations(range(length), left):
        yield tuple(0 if position in firsts else 1 for position in range(length))


_TWO_LABELS: list[Stores] = []


async def two_labels() -> Stores:
    """Two mirrored labels; stored once and put back for each order, of which there are thousands."""
    if not _TWO_LABELS:
        made = Stores()
        process = Process(made)
        await process.store.open()
        await process.create(1)
        await process.create(2)
        await process.store.close()
        _TWO_LABELS.append(made)
    stores = Stores(acknowledged=set(_TWO_LABELS[0].acknowledged))
    stores.source.put_back(_TWO_LABELS[0].source.snapshot())
    stores.target.put_back(_TWO_LABELS[0].target.snapshot())
    return stores


async def play(order: tuple[int, ...], players: list[Player]) -> None:
    for player in players:
        await player.start()
        await player.come_to_rest()
    for number in order:
        await players[number].take_turn()
    # Orders are of equal length; a player that was rejected early leaves turns to the other.
    while [player for player in players if await player.take_turn()]:
        continue


def name_first(name: str) -> Writer:
    return lambda process: process.edit(1, name=name)


def name_second(name: str) -> Writer:
    return lambda process: process.edit(2, name=name)


def colour_both(color: str, *numbers: int) -> Writer:
    return lambda process: process.edit(*numbers, color=color)


PAIRS = [
    pytest.param(name_first("left"), name_first("right"), id="one record"),
    pytest.param(name_first("left"), name_second("right"), id="two records"),
    pytest.param(name_first("same"), name_second("same"), id="one unique name"),
    pytest.param(colour_both("#111111", 1, 2), colour_both("#222222", 2, 1), id="both records together"),
    pytest.param(colour_both("#111111", 1, 2), name_first("right"), id="one of two"),
    pytest.param(name_first("free"), name_second("Label 1"), id="a name handed over"),
]


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_two_writers_converge_in_every_order_of_their_steps(left: Writer, right: Writer) -> None:
    async def check() -> None:
        for order in orders():
            stores = await two_labels()
            players = [Player(stores, left), Player(stores, right)]
            await play(order, players)
            for player in players:
                player.turns.is_free = True
                await player.process.store.close()
            await recover(stores)
            await assert_promises(stores)

    simulate(check())


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_two_writers_converge_although_either_or_both_die_at_any_step(left: Writer, right: Writer) -> None:
    async def check() -> None:
        lives = (None, *range(1, len(STEPS)))
        for left_lives, right_lives in itertools.product(lives, lives):
            for order in orders(left_lives or len(STEPS), right_lives or len(STEPS)):
                stores = await two_labels()
                players = [Player(stores, left, left_lives), Player(stores, right, right_lives)]
                await play(order, players)
                for player in players:
                    player.process.kill()
                await end()
                await recover(stores)
                await assert_promises(stores)

    simulate(check())


def test_of_two_writers_of_one_version_exactly_one_wins() -> None:
    async def check() -> None:
        for order in orders():
            stores = await two_labels()
            players = [Player(stores, name_first("left")), Player(stores, name_first("right"))]
            await play(order, players)
            label = (await stores.source.fetch(LABEL, (numbered_id(1),)))[numbered_id(1)]
            is_one_after_the_other = len(stores.acknowledged) == 4
            assert label[VERSION] == (3 if is_one_after_the_other else 2)
            assert label["name"] in {"left", "right"}
            await end()

    simulate(check())
