"""What a move refuses over HTTP: with the reason, where it stands, and the command that helps; nothing is changed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.ownership.control import Ownership
from adapters.ownership.source_moves import begin_move
from domain.migration import ALLOWED, NEXT, Phase, Step
from tests.integration.ownership_world import until
from tests.integration.served_move import Served, served

BODIES: dict[Step, dict[str, Any]] = {Step.ROUTE: {"collection": "all", "targetPercent": 1}}
PATHS = {Step.ROUTE: "routes"}


@pytest.fixture
async def mirrored(tmp_path: Path, prepared_postgres_url: str) -> AsyncIterator[Served]:
    dual = {"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": prepared_postgres_url}
    async with served(tmp_path / "data", **dual) as running:
        yield running


async def test_an_illegal_step_names_the_phase_and_what_to_type(mirrored: Served) -> None:
    for phase in Phase:
        await mirrored.put_in(phase)
        before = await mirrored.owner()
        for step in Step:
            if phase in ALLOWED[step]:
                continue
            answer = await mirrored.post(PATHS.get(step, step), BODIES.get(step))
            detail = answer.json()["detail"]
            assert answer.status_code == 409
            assert detail == f"`{step}` is not possible in phase `{phase}`. {NEXT[phase]}"
        assert await mirrored.owner() == before


async def test_an_unknown_collection_is_not_found_and_the_known_ones_are_named(mirrored: Served) -> None:
    await mirrored.put_in(Phase.VERIFIED)
    before = await mirrored.owner()
    answer = await mirrored.post("routes", {"collection": "ghosts", "targetPercent": 1})
    assert answer.status_code == 404
    assert "tasks" in answer.json()["detail"]
    assert await mirrored.owner() == before


async def test_a_second_coordinator_is_told_who_the_first_one_is(mirrored: Served) -> None:
    await mirrored.put_in(Phase.VERIFIED)
    stack = mirrored.container.stack()
    await begin_move(stack.ownership, {"id": "1", "to": "postgres", "coordinator": "process 7 on night"})
    before = await mirrored.owner()
    answer = await mirrored.post("cutover", {"force": "the old disk fails"})
    assert (answer.status_code, "process 7 on night" in answer.json()["detail"]) == (409, True)
    assert (await mirrored.owner()).move == before.move


async def test_a_second_long_step_waits_for_the_first_one(mirrored: Served) -> None:
    first = await mirrored.post("preflight")
    second = await mirrored.post("preflight")
    assert (first.status_code, second.status_code) == (202, 409)
    assert first.json()["jobId"] in second.json()["detail"]
    await mirrored.container.move_jobs().wait(first.json()["jobId"])
    ended = await mirrored.client.get(f"/v1/move/jobs/{first.json()['jobId']}")
    assert ended.json()["state"] == "DONE"


async def test_the_way_back_is_not_closed_without_evidence_of_the_new_owner(mirrored: Served) -> None:
    await mirrored.put_in(Phase.CUT_OVER)
    before = await mirrored.owner()
    for path in ("finish", "finish?dryRun=true"):
        answer = await mirrored.post(path)
        assert answer.status_code == 409
        assert "tandem move verify --full" in answer.json()["detail"]
    assert await mirrored.owner() == before


async def test_a_rollback_to_a_restored_store_is_refused_until_it_was_compared(mirrored: Served) -> None:
    await mirrored.put_in(Phase.CUT_OVER)
    await mirrored.container.stack().ownership.change(Ownership.with_next_incarnation)
    before = await mirrored.owner()
    refused = await mirrored.post("rollback")
    assert (refused.status_code, "tandem move verify --full" in refused.json()["detail"]) == (409, True)
    found = (await mirrored.post("rollback?dryRun=true")).json()
    assert "evidence" in [one["code"] for one in found["guards"] if not one["green"]]
    assert await mirrored.owner() == before


async def test_a_single_store_names_what_has_to_be_set(tmp_path: Path) -> None:
    async with served(tmp_path / "data", STORE="monty") as single:
        before = await single.owner()
        status = (await single.client.get("/v1/move")).json()
        assert (status["phase"], status["target"], status["guards"]) == ("single", None, [])
        assert "STORE=dual" in status["nextCommand"]
        for step in Step:
            answer = await single.post(PATHS.get(step, step), BODIES.get(step))
            assert (answer.status_code, "STORE=dual" in answer.json()["detail"]) == (409, True), step
        assert await single.owner() == before


async def test_a_cut_over_waits_until_reads_have_been_compared_for_long_enough(
    tmp_path: Path, prepared_postgres_url: str
) -> None:
    dual = {"STORE": "dual", "DUAL_WRITE_SOURCE": "monty", "POSTGRES_URL": prepared_postgres_url}
    async with served(tmp_path / "data", **dual, MOVE_SOAK_SECONDS="1") as running:
        await running.put_in(Phase.VERIFIED)
        assert "shadow reads compare" in await shadow_of(running)
        assert (await running.post("routes", {"collection": "all", "shadowPercent": 100})).status_code == 200
        assert "compared no read" in await shadow_of(running)
        assert (await running.client.get("/v1/tasks")).status_code == 200
        await until(lambda: "tandem_shadow_reads_total{" in running.container.stack().render_metrics())
        answer = await running.post("cutover")
        assert answer.status_code == 409
        assert "0 of 1 seconds" in answer.json()["detail"]
        await asyncio.sleep(1.1)
        assert (await shadow_of(running)).startswith("No shadow read has differed since")


async def shadow_of(running: Served) -> str:
    """What the guard of shadow reads says."""
    guards = (await running.client.get("/v1/move")).json()["guards"]
    return next(str(one["detail"]) for one in guards if one["code"] == "shadow")
