"""Turns at documents that change sets rely on, within one process."""

import asyncio

import pytest

from adapters.mongo.turns import Turns
from adapters.records.change_set import ReadCheck
from domain.errors import StoreUnavailable

POND, SHED = ReadCheck("projects", "1" * 24, 1), ReadCheck("projects", "2" * 24, 1)
SECONDS_MAX = 5.0


async def test_one_at_a_time_holds_a_document_and_each_gets_its_turn() -> None:
    turns, holding, most = Turns(), 0, 0

    async def rely() -> None:
        nonlocal holding, most
        async with turns.at([POND], wait_seconds=SECONDS_MAX):
            holding += 1
            most = max(most, holding)
            await asyncio.sleep(0)
            holding -= 1

    await asyncio.gather(*(rely() for _ in range(10)))
    assert most == 1


async def test_who_relies_on_something_else_does_not_wait() -> None:
    turns = Turns()
    async with (
        turns.at([POND], wait_seconds=SECONDS_MAX),
        turns.at([SHED], wait_seconds=0.01),
        turns.at([], wait_seconds=0.01),
    ):
        pass


async def test_two_that_name_the_same_documents_in_other_orders_both_get_through() -> None:
    turns = Turns()

    async def rely(*read_checks: ReadCheck) -> None:
        for _ in range(20):
            async with turns.at(read_checks, wait_seconds=SECONDS_MAX):
                await asyncio.sleep(0)

    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(rely(POND, SHED), rely(SHED, POND))


async def test_whose_turn_does_not_come_in_time_is_told_so_and_holds_nothing() -> None:
    turns = Turns()
    async with turns.at([SHED], wait_seconds=SECONDS_MAX):
        with pytest.raises(StoreUnavailable):
            async with turns.at([POND, SHED], wait_seconds=0.01):
                raise AssertionError("both are held")
        async with turns.at([POND], wait_seconds=0.01):
            pass
