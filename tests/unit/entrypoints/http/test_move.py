"""/v1/move: names and shapes, statuses, rights, and input that is rejected."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from application.ports.migration import JobState, Preflight
from domain.errors import Conflict, StoreUnavailable
from domain.migration import Phase, Route
from tests.unit.entrypoints.http.scripted_move import GUARD, HELD, JOB_ID, ScriptedJobs, ScriptedMigration
from tests.unit.entrypoints.http.service import ADMIN, ANNA, Service, pointers

GUARD_VIEW = {
    "code": "evidence",
    "green": False,
    "detail": GUARD.detail,
    "remedy": GUARD.remedy,
}
POSTS = [
    "preflight", "backfill", "verify", "repair", "rehearse", "cutover", "rollback", "finish", "retire", "pause",
    "resume"
]  # fmt: skip
LONG = ["preflight", "backfill", "verify", "repair"]


@pytest.fixture
def move(service: Service) -> ScriptedMigration:
    service.parts.migration.__init__()  # type: ignore[misc]
    service.parts.jobs.__init__()  # type: ignore[misc]
    return service.parts.migration


@pytest.fixture
def jobs(service: Service, move: ScriptedMigration) -> ScriptedJobs:
    return service.parts.jobs


async def ask(service: Service, method: str, path: str, body: Any = None) -> Any:
    return await service.call(method, f"/v1/move{path}", body, by=ADMIN)


async def test_the_status_has_the_documented_names(service: Service, move: ScriptedMigration) -> None:
    view = (await ask(service, "GET", "")).json()
    assert (view["phase"], view["epoch"], view["owner"]) == ("reading", 3, "monty")
    assert view["guards"] == [{**GUARD_VIEW, "since": view["guards"][0]["since"]}]
    assert view["lastRehearsal"] == {"pauseMs": 12, "at": view["steps"][0]["at"]}
    assert view["processes"] == [{"process": "process 7 on night", "isAlive": True, "mirrors": False}]
    assert (view["pending"], view["lagMs"], view["reverse"]) == (5, 40, None)
    (row,) = view["collections"]
    assert row == {
        "collection": "tasks",
        "records": {"source": 9, "target": 7},
        "backfill": {"state": "RUNNING", "done": 7, "total": 9, "ratePerSecond": 3, "etaSeconds": [1, 2]},
        "verified": {"coverage": 1.0, "differences": 0, "asOf": view["steps"][0]["at"]},
        "route": {"store": "postgres", "percent": 20, "shadowPercent": 5, "fallbacks": 4},
    }
    assert view["job"]["jobId"] == JOB_ID


async def test_a_change_of_the_move_is_an_event(service: Service, move: ScriptedMigration) -> None:
    answer = await ask(service, "GET", "/events")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    fields = dict(line.split(": ", 1) for line in answer.text.strip().splitlines())
    assert (fields["event"], fields["retry"]) == ("move", "500")
    assert json.loads(fields["data"]) == (await ask(service, "GET", "")).json()
    again = service.call("GET", "/v1/move/events", by=ADMIN, last_event_id=fields["id"])
    waiting = asyncio.create_task(again)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    move.is_paused = True
    changed = dict(line.split(": ", 1) for line in (await waiting).text.strip().splitlines())
    assert (json.loads(changed["data"])["isPaused"], changed["id"] != fields["id"]) == (True, True)


async def test_the_coverage_has_one_letter_for_a_range_of_ids(
    service: Service, move: ScriptedMigration
) -> None:
    view = (await ask(service, "GET", "/coverage/tasks?buckets=2")).json()
    assert (view["collection"], view["buckets"]) == ("tasks", "ED")
    assert (await ask(service, "GET", "/coverage/tasks?buckets=0")).status_code == 400
    assert (await ask(service, "GET", "/coverage/cats")).status_code == 404


async def test_after_the_cut_over_the_status_shows_the_reverse_mirror(
    service: Service, move: ScriptedMigration
) -> None:
    move.phase = Phase.CUT_OVER
    assert (await ask(service, "GET", "")).json()["reverse"] == {"pending": 5, "lagMs": 40}


async def test_a_collection_without_a_route_is_answered_by_the_source(
    service: Service, move: ScriptedMigration
) -> None:
    move.route_of_tasks = Route()
    (row,) = (await ask(service, "GET", "")).json()["collections"]
    assert (row["route"]["store"], row["route"]["percent"]) == ("monty", 100)


async def test_a_paused_backfill_is_shown_as_paused(service: Service, move: ScriptedMigration) -> None:
    move.is_paused = True
    (row,) = (await ask(service, "GET", "")).json()["collections"]
    assert row["backfill"]["state"] == "PAUSED"


@pytest.mark.parametrize("step", LONG)
async def test_a_long_step_is_answered_with_a_job_to_follow(
    service: Service, jobs: ScriptedJobs, step: str
) -> None:
    answer = await ask(service, "POST", f"/{step}")
    assert (answer.status_code, answer.json()["jobId"]) == (202, JOB_ID)
    assert jobs.started == [step]
    followed = (await ask(service, "GET", f"/jobs/{JOB_ID}")).json()
    assert (followed["state"], followed["progress"]["etaSeconds"]) == ("RUNNING", [1, 2])


async def test_the_result_of_a_job_has_the_names_of_the_interface(
    service: Service, jobs: ScriptedJobs
) -> None:
    found = Preflight(records={"tasks": 9}, findings=(), estimate_seconds=(1, 2))
    jobs.job = replace(jobs.job, state=JobState.DONE, result=found)
    result = (await ask(service, "GET", f"/jobs/{JOB_ID}")).json()["result"]
    assert result == {"records": {"tasks": 9}, "findings": [], "estimateSeconds": [1, 2], "isClear": True}


async def test_an_unknown_job_is_not_found(service: Service, jobs: ScriptedJobs) -> None:
    assert (await ask(service, "GET", f"/jobs/{'0' * 24}")).status_code == 404


@pytest.mark.parametrize("step", POSTS)
async def test_a_dry_run_changes_nothing(
    service: Service, move: ScriptedMigration, jobs: ScriptedJobs, step: str
) -> None:
    answer = await ask(service, "POST", f"/{step}?dryRun=true")
    assert answer.status_code == (202 if step in LONG else 200), answer.text
    assert jobs.started == []
    assert not [done for done in move.done if done[0] not in ("require", "look") and done[-1] is not True]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/backfill", None),
        ("/backfill?dryRun=true", None),
        ("/backfill?dryRun=true", {"newTarget": True}),
        ("/preflight?dryRun=true", None),
        ("/recover?dryRun=true", {"fromTarget": True, "force": "It burnt."}),
        (f"/quarantine/{HELD.id}/fix?dryRun=true", {"reason": "It fits now."}),
    ],
)
async def test_a_step_is_refused_at_once_while_the_target_does_not_answer(
    service: Service, move: ScriptedMigration, jobs: ScriptedJobs, path: str, body: Any
) -> None:
    move.trouble = StoreUnavailable("The server is gone.")
    answer = await ask(service, "POST", path, body)
    assert (answer.status_code, answer.json()["detail"]) == (503, "The server is gone.")
    assert jobs.started == []


async def test_a_dry_run_of_a_decision_or_a_route_changes_nothing(
    service: Service, move: ScriptedMigration
) -> None:
    for decision in ("fix", "skip"):
        path = f"/quarantine/{HELD.id}/{decision}?dryRun=true"
        assert (await ask(service, "POST", path, {"reason": "a test"})).json()["id"] == HELD.id
    lost = {"fromTarget": True, "force": "the disk is gone"}
    assert (await ask(service, "POST", "/recover?dryRun=true", lost)).json()["jobId"] is None
    unknown = await ask(service, "POST", "/quarantine/other/fix?dryRun=true", {"reason": "a test"})
    await ask(service, "POST", "/routes?dryRun=true", {"collection": "all", "targetPercent": 1})
    assert unknown.status_code == 404
    assert move.done == [("route", "all", Route(target_percent=1), ADMIN, True)]


@pytest.mark.parametrize("step", [*POSTS, "routes", f"quarantine/{HELD.id}/skip"])
async def test_only_administrators_take_steps(service: Service, move: ScriptedMigration, step: str) -> None:
    body = {"routes": {"collection": "all"}, f"quarantine/{HELD.id}/skip": {"reason": "a test"}}.get(step)
    headers = service.headers(ANNA)
    answer = await service.client.post(f"/v1/move/{step}", json=body, headers=headers)
    assert answer.status_code == 403
    assert move.done == []


@pytest.mark.parametrize(
    ("path", "body", "status", "pointer"),
    [
        ("/cutover", {"force": "  "}, 422, "/force"),
        ("/cutover", {"force": ""}, 400, "/force"),
        ("/rollback", {"force": "\t"}, 422, "/force"),
        ("/recover", {"fromTarget": True, "force": " "}, 422, "/force"),
        (f"/quarantine/{HELD.id}/skip", {"reason": " "}, 422, "/reason"),
        (f"/quarantine/{HELD.id}/fix", {"reason": " "}, 422, "/reason"),
        ("/routes", {"collection": "tasks", "targetPercent": 101}, 422, "/targetPercent"),
        ("/routes", {"collection": "tasks", "shadowPercent": -1}, 422, "/shadowPercent"),
        ("/routes", {"collection": "tasks", "shadowPercent": 1.5}, 400, "/shadowPercent"),
        ("/backfill", {"rate": 0}, 400, "/rate"),
        ("/backfill", {"rate": "fast"}, 400, "/rate"),
        ("/verify", {"mode": "QUICK"}, 400, "/mode"),
    ],
)
async def test_wrong_input_is_rejected_and_changes_nothing(
    service: Service,
    move: ScriptedMigration,
    jobs: ScriptedJobs,
    *,
    path: str,
    body: Any,
    status: int,
    pointer: str,
) -> None:
    answer = await ask(service, "POST", path, body)
    assert (answer.status_code, pointers(answer)) == (status, [pointer])
    assert (move.done, jobs.started) == ([], [])


@pytest.mark.parametrize("step", ["backfill", "verify", "repair", "retire", "pause", "resume", "cutover"])
async def test_a_step_that_is_not_possible_says_why(
    service: Service, move: ScriptedMigration, jobs: ScriptedJobs, step: str
) -> None:
    move.refusal = Conflict("`cutover` is not possible in phase `mirroring`. Run `tandem move backfill`.")
    answer = await ask(service, "POST", f"/{step}")
    assert (answer.status_code, answer.json()["detail"]) == (409, move.refusal.message)
    assert jobs.started == []
    assert not [done for done in move.done if done[0] != "require"]


async def test_a_reason_is_kept_without_the_spaces_around_it(
    service: Service, move: ScriptedMigration
) -> None:
    await ask(service, "POST", f"/quarantine/{HELD.id}/skip", {"reason": " it is a draft "})
    assert move.done == [("skip", HELD.id, "it is a draft", ADMIN)]


async def test_a_forced_move_hands_on_its_reason(service: Service, move: ScriptedMigration) -> None:
    answer = await ask(service, "POST", "/cutover", {"force": "the old server fails"})
    assert move.done == [("cutover", ADMIN, "the old server fails", False)]
    view = answer.json()
    assert (view["owner"], view["epoch"], view["pauseMs"]) == ("postgres", 4, 12)


async def test_the_evidence_file_is_named(service: Service, move: ScriptedMigration) -> None:
    assert (await ask(service, "POST", "/finish")).json() == {"evidenceFile": "/data/move-evidence.json"}


@pytest.mark.parametrize("step", ["pause", "resume"])
async def test_a_backfill_of_any_process_is_paused(
    service: Service, move: ScriptedMigration, jobs: ScriptedJobs, step: str
) -> None:
    jobs.job = replace(jobs.job, step="verify")
    assert (await ask(service, "POST", f"/{step}")).status_code == 200
    assert [done for done in move.done if done[0] != "require"] == [(step, ADMIN)]
