"""One delivery that takes long neither stops those of other tables nor is overtaken within its own."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.dual_write.late_deliveries import PATIENCE_SECONDS, LateDeliveries
from adapters.records.record import Record
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate

HOUR = 3_600.0


def entries(collection: str, *numbers: int) -> list[Record]:
    return [
        {
            "id": f"{number:024x}",
            "collection": collection,
            "entityId": str(number),
            "changeSetId": str(number),
        }
        for number in numbers
    ]


class Target:
    """Takes an hour for labels."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.fails = False

    async def deliver(self, given: Sequence[Record]) -> None:
        if any(entry["collection"] == "labels" for entry in given):
            await asyncio.sleep(HOUR)
        if self.fails:
            raise StoreUnavailable
        self.delivered += [entry["entityId"] for entry in given]


def test_other_tables_are_delivered_while_one_is_slow() -> None:
    async def check() -> None:
        target = Target()
        late = LateDeliveries(target.deliver)
        await late.run(entries("labels", 1) + entries("tasks", 2, 3))
        assert target.delivered == ["2", "3"]
        assert asyncio.get_running_loop().time() <= 2 * PATIENCE_SECONDS + 0.01
        assert late.busy == {"labels"}
        more = late.free_of(entries("labels", 4) + entries("tasks", 5))
        assert [entry["entityId"] for entry in more] == ["5"]
        await late.run(more)
        await late.settle()
        assert target.delivered == ["2", "3", "5", "1"]
        assert late.busy == frozenset()

    simulate(check())


def test_what_is_committed_together_waits_together() -> None:
    async def check() -> None:
        late = LateDeliveries(Target().deliver)
        await late.run(entries("labels", 1))
        joined = [{**entry, "changeSetId": "9"} for entry in entries("labels", 2) + entries("tasks", 3)]
        assert late.free_of(joined) == []
        await late.cancel()
        assert len(late.free_of(joined)) == 2

    simulate(check())


def test_an_error_of_a_late_delivery_reaches_the_relay() -> None:
    async def check() -> None:
        target = Target()
        late = LateDeliveries(target.deliver)
        await late.run(entries("labels", 1))
        target.fails = True
        await asyncio.sleep(HOUR)
        with pytest.raises(StoreUnavailable):
            late.raise_failed()
        late.raise_failed()

    simulate(check())
