"""Every line of docs/permissions.md, tried by every caller over each kind of store."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import pytest

from tests.integration.crash.store_comparison import Contents
from tests.integration.journeys.renewed_stores import ExchangedStore, RenewedStores
from tests.integration.journeys.topologies import MODES, variables_of
from tests.unit.entrypoints.http.permission_table import Cell, asked, cells
from tests.unit.entrypoints.http.service import Service, failed_entry

LINES = {operation: list(line) for operation, line in groupby(cells(), key=lambda cell: cell.operation)}

TURNS = (*MODES, *("monty", "postgres") * 4)
"""Who has its turn when: two stores hold the world again in a fraction of the time that the other modes take."""

BY_TURNS = [(mode, operation) for operation, mode in zip(LINES, itertools.cycle(TURNS), strict=False)]
"""Each line in one of the modes."""


@dataclass(slots=True)
class Stage:
    """The application over the stores of one mode, and whether the world is as it was first."""

    runner: asyncio.Runner
    stores: RenewedStores
    store: ExchangedStore
    service: Service
    is_fresh: bool = False

    def set_up(self) -> None:
        """Puts the world back where somebody may have changed it."""
        if not self.is_fresh:
            self.store.exchange(self.runner.run(self.stores.renew()))
            self.service.parts.numbers.start_over()
            self.service.parts.mirror.entries = [failed_entry(1)]
            self.is_fresh = True

    def fault_of(self, cell: Cell) -> str | None:
        """Lets the cell's caller try, and says what is wrong with the answer."""
        self.set_up()
        answer = self.runner.run(asked(self.service, cell))
        self.service.client.cookies.clear()
        self.is_fresh = not cell.may_write
        return cell.fault_of(answer)

    def contents(self) -> list[Contents]:
        """What the stores hold."""
        self.set_up()
        return self.runner.run(self.stores.contents())


@pytest.fixture(scope="module")
def stage_of(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Stage]]:
    """The stage of each mode, made when it is asked for first."""
    with ExitStack() as opened:
        runner = opened.enter_context(asyncio.Runner())

        @cache
        def made(mode: str) -> Stage:
            stores = RenewedStores(opened.enter_context(variables_of(mode, request)), mode)
            opened.callback(lambda: runner.run(stores.close()))
            store = ExchangedStore(runner.run(stores.renew()))
            return Stage(runner, stores, store, Service(store))

        yield made


def require_answers(stage: Stage, line: list[Cell]) -> None:
    """Fails where somebody gets another answer, or a refusal changes anything."""
    before = stage.contents()
    faults = [stage.fault_of(cell) for cell in line if not cell.may_write]
    assert [fault for fault in faults if fault] == []
    assert stage.contents() == before
    faults = [stage.fault_of(cell) for cell in line if cell.may_write]
    assert [fault for fault in faults if fault] == []


@pytest.mark.parametrize(("mode", "operation"), BY_TURNS)
def test_everybody_gets_the_answer_of_the_table(
    stage_of: Callable[[str], Stage], mode: str, operation: str
) -> None:
    """The long form tries each line in all modes."""
    require_answers(stage_of(mode), LINES[operation])


@pytest.mark.torture
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", LINES)
def test_everybody_gets_the_answer_of_the_table_in_every_mode(
    stage_of: Callable[[str], Stage], mode: str, operation: str
) -> None:
    require_answers(stage_of(mode), LINES[operation])
