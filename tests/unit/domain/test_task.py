from datetime import timedelta

import pytest

from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.errors import Conflict, RuleBroken
from domain.task import Origin, Priority, Task, TaskStatus
from domain.task_changes import LABELS_MAX
from tests.unit.builders import ANNA, BEN, NOON, numbered_id, stamp, task

TOMORROW = NOON + timedelta(days=1)


def given(assignee: Assignee, number: int = 50) -> TaskAssignment:
    return TaskAssignment.create(numbered_id(number), stamp(), task_id=numbered_id(1), assignee=assignee)


@pytest.mark.parametrize(
    "title",
    ["a\nb", "a\u2028b", "a\u202eb", "a\x1bb", "\u200b", "\u3164", "\u2800", " ", "a\u200bb", "\ud800"],
)
def test_a_title_is_one_visible_line_wherever_it_comes_from(title: str) -> None:
    origin = Origin(external_key="beads:p:bd-1", created_at=NOON)
    with pytest.raises(RuleBroken) as created:
        task(changes={"title": title})
    with pytest.raises(RuleBroken) as edited:
        task().edit(stamp(1), {"title": title})
    with pytest.raises(RuleBroken) as imported:
        Task.imported(numbered_id(1), stamp(), {"title": title}, origin=origin)
    for refusal in (created, edited, imported):
        assert [fault.pointer for fault in refusal.value.violations] == ["/title"]


def test_a_title_is_trimmed_and_has_one_spelling() -> None:
    assert task(changes={"title": " Cafe\u0301 \t"}).title == "Café"
    assert task(changes={"title": "👩\u200d💻 at work"}).title == "👩\u200d💻 at work"


def test_labels_are_kept_as_a_sorted_set() -> None:
    labelled = task(changes={"label_ids": ("c", "a", "c", "b")})
    assert labelled.label_ids == ("a", "b", "c")


def test_the_order_of_labels_is_no_change() -> None:
    labelled = task(changes={"label_ids": ("a", "b")})
    assert labelled.edit(stamp(1), {"label_ids": ("b", "a")}) is labelled


def test_a_task_carries_a_bounded_number_of_labels() -> None:
    with pytest.raises(RuleBroken) as refusal:
        task(changes={"label_ids": tuple(numbered_id(n) for n in range(LABELS_MAX + 1))})
    assert refusal.value.violations[0].pointer == "/labelIds"


def test_a_task_is_never_its_own_parent() -> None:
    with pytest.raises(RuleBroken) as refusal:
        task(7).edit(stamp(1), {"parent_id": numbered_id(7)})
    assert refusal.value.violations[0].pointer == "/parentId"


def test_the_trash_remembers_why_and_forgets_it_on_the_way_back() -> None:
    discarded = task().discard(stamp(1), reason="double")
    assert (discarded.is_deleted, discarded.deleted_reason, discarded.version) == (True, "double", 2)
    restored = discarded.restore(stamp(2))
    assert (restored.is_deleted, restored.deleted_reason, restored.version) == (False, None, 3)


def test_priorities_sort_by_rank_and_not_by_name() -> None:
    assert sorted([Priority.LOW, Priority.HIGH, Priority.MEDIUM]) == [
        Priority.HIGH,
        Priority.MEDIUM,
        Priority.LOW,
    ]


@pytest.mark.parametrize("title", ["", "  ", "x" * 501, "a\x00b"])
def test_a_title_that_no_store_should_hold_is_refused(title: str) -> None:
    with pytest.raises(RuleBroken) as refusal:
        task().edit(stamp(1), {"title": title})
    assert refusal.value.violations[0].pointer == "/title"


def test_an_edit_touches_what_it_names_and_nothing_else() -> None:
    before = task(changes={"description": "deep", "due_at": stamp(9).at})
    after = before.edit(stamp(1), {"status": TaskStatus.DONE, "description": None})
    assert (after.status, after.description, after.due_at) == (TaskStatus.DONE, None, stamp(9).at)


def test_a_task_is_deferred_until_an_instant_ahead_and_no_longer() -> None:
    deferred = task().defer(stamp(1), TOMORROW)
    assert (deferred.is_deferred(NOON), deferred.is_deferred(TOMORROW)) == (True, False)
    assert (deferred.status, deferred.version) == (TaskStatus.TODO, 2)
    assert deferred.defer(stamp(2), TOMORROW) is deferred
    assert deferred.defer(stamp(2), None).deferred_till is None


@pytest.mark.parametrize("until", [NOON, NOON - timedelta(days=1), TOMORROW + timedelta(milliseconds=1)])
def test_a_task_is_deferred_neither_into_the_past_nor_beyond_its_due_date(until: object) -> None:
    with pytest.raises(RuleBroken) as refusal:
        task(changes={"due_at": TOMORROW}).defer(stamp(), until)  # type: ignore[arg-type]
    assert refusal.value.violations[0].pointer == "/deferredTill"


def test_a_task_is_deferred_up_to_its_due_date() -> None:
    assert task(changes={"due_at": TOMORROW}).defer(stamp(), TOMORROW).deferred_till == TOMORROW


def test_what_is_done_is_not_deferred_and_what_gets_done_no_longer_is() -> None:
    done = task(changes={"status": TaskStatus.DONE})
    with pytest.raises(Conflict):
        done.defer(stamp(1), TOMORROW)
    finished = task().defer(stamp(1), TOMORROW).edit(stamp(2), {"status": TaskStatus.DONE})
    assert finished.deferred_till is None


def test_a_deferred_task_is_not_due_before_it_comes_back() -> None:
    deferred = task().defer(stamp(1), TOMORROW)
    with pytest.raises(RuleBroken) as refusal:
        deferred.edit(stamp(2), {"due_at": TOMORROW - timedelta(hours=1)})
    assert refusal.value.violations[0].pointer == "/dueAt"
    assert deferred.edit(stamp(2), {"due_at": TOMORROW}).due_at == TOMORROW


def test_a_deferral_that_is_over_binds_nobody() -> None:
    deferred = task().defer(stamp(1), TOMORROW)
    later = stamp(60 * 24 * 2)
    early = TOMORROW - timedelta(hours=1)
    assert deferred.edit(later, {"due_at": early}).due_at == early


def test_work_begins_when_a_task_first_gets_into_progress() -> None:
    begun = task().edit(stamp(3), {"status": TaskStatus.IN_PROGRESS})
    assert begun.started_at == stamp(3).at
    again = begun.edit(stamp(4), {"status": TaskStatus.TODO}).edit(
        stamp(5), {"status": TaskStatus.IN_PROGRESS}
    )
    assert again.started_at == stamp(3).at
    assert task(changes={"status": TaskStatus.IN_PROGRESS}).started_at == NOON


def test_a_given_start_time_is_kept() -> None:
    said = task().edit(stamp(3), {"status": TaskStatus.IN_PROGRESS, "started_at": TOMORROW})
    unsaid = task().edit(stamp(3), {"status": TaskStatus.IN_PROGRESS, "started_at": None})
    assert (said.started_at, unsaid.started_at) == (TOMORROW, None)


def test_work_may_begin_after_the_due_date() -> None:
    late = task(changes={"due_at": TOMORROW, "started_at": TOMORROW + timedelta(days=1)})
    assert late.started_at is not None
    assert late.due_at is not None
    assert late.started_at > late.due_at


def test_a_new_assignee_has_yet_to_acknowledge() -> None:
    to_anna, to_ben = Assignee(ANNA, AssigneeType.USER), Assignee(BEN, AssigneeType.USER)
    acknowledged = task().assigned(stamp(1), given(to_anna)).edit(stamp(2), {"is_acknowledged": True})
    assert acknowledged.is_acknowledged
    passed_on = acknowledged.assigned(stamp(3), given(to_ben, 51))
    assert (passed_on.assignee, passed_on.is_acknowledged) == (to_ben, False)
    freed = passed_on.assigned(stamp(4), None)
    assert (freed.assignee, freed.executor_id) == (None, None)


def test_rolling_back_acknowledges_nothing_for_a_later_assignee() -> None:
    to_anna, to_ben = Assignee(ANNA, AssigneeType.USER), Assignee(BEN, AssigneeType.USER)
    acknowledged = task().assigned(stamp(1), given(to_anna)).edit(stamp(2), {"is_acknowledged": True})
    passed_on = acknowledged.edit(stamp(3), {"title": "Fill it"}).assigned(stamp(4), given(to_ben, 51))
    rolled_back = passed_on.roll_back_to(acknowledged, stamp(5))
    assert (rolled_back.title, rolled_back.assignee, rolled_back.is_acknowledged) == (
        acknowledged.title,
        to_ben,
        False,
    )


def test_an_executor_within_the_team_changes_no_acknowledgement() -> None:
    to_team = given(Assignee(numbered_id(9), AssigneeType.TEAM))
    acknowledged = task().assigned(stamp(1), to_team).edit(stamp(2), {"is_acknowledged": True})
    taken = acknowledged.assigned(stamp(3), to_team.executed_by(stamp(3), BEN))
    assert (taken.executor_id, taken.is_acknowledged) == (BEN, True)


def test_a_number_once_given_stays() -> None:
    numbered = task().numbered(7)
    assert (numbered.display_id, numbered.version) == (7, 1)
    assert numbered.numbered(8) is numbered
    renamed = numbered.edit(stamp(1), {"title": "Fill the pond"})
    assert renamed.roll_back_to(task(), stamp(2)).display_id == 7


def test_an_assignment_that_is_over_does_not_come_back() -> None:
    over = given(Assignee(numbered_id(9), AssigneeType.TEAM)).end(stamp(1))
    with pytest.raises(Conflict):
        over.end(stamp(2))
    with pytest.raises(Conflict):
        over.executed_by(stamp(2), BEN)


def test_only_a_teams_task_is_taken_over() -> None:
    with pytest.raises(Conflict):
        given(Assignee(ANNA, AssigneeType.USER)).executed_by(stamp(1), BEN)
