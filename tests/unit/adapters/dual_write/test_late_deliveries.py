"""One delivery that takes long neither stops those of other tables nor is overtaken within its own."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.dual_write.late_deliveries import HELD_UP_SECONDS_MAX, LateDeliveries
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
        self.begun: list[list[str]] = []
        self.fails = False

    async def deliver(self, given: Sequence[Record]) -> None:
        self.begun.append([entry["entityId"] for entry in given])
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
        assert asyncio.get_running_loop().time() <= 2 * HELD_UP_SECONDS_MAX + 0.01
        assert late.busy == {"labels"}
        await late.run(entries("labels", 4) + entries("tasks", 5))
        await late.finish()
        assert target.delivered == ["2", "3", "5", "1"]
        assert late.busy == frozenset()

    simulate(check())


def test_what_is_committed_together_waits_together() -> None:
    async def check() -> None:
        target = Target()
        late = LateDeliveries(target.deliver)
        await late.run(entries("labels", 1))
        joined = [{**entry, "changeSetId": "9"} for entry in entries("labels", 2) + entries("tasks", 3)]
        await late.run(joined)
        assert late.busy == {"labels"}
        await late.cancel()
        await late.run(joined)
        assert late.busy == {"labels", "tasks"}
        await late.finish()
        assert target.delivered == ["2", "3"]

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


def test_at_most_one_delivery_runs_for_each_table_and_none_is_begun_a_third_time() -> None:
    async def check() -> None:
        target = Target()
        late = LateDeliveries(target.deliver)
        joined = [{**entry, "changeSetId": "9"} for entry in entries("labels", 2) + entries("tasks", 3)]
        await late.run(entries("labels", 1) + joined + entries("tasks", 4))
        assert target.begun == [["1", "2", "3", "4"], ["1"], ["4"]]
        assert late.busy == {"labels"}
        await late.finish()
        assert target.delivered == ["4", "1"]

    simulate(check())
