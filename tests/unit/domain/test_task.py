import pytest

from domain.errors import RuleBroken
from domain.task import LABELS_MAX, Priority, TaskStatus
from tests.unit.builders import numbered_id, stamp, task


def test_labels_are_kept_as_a_sorted_set() -> None:
    labelled = task(changes={"label_ids": ("c", "a", "c", "b")})
    assert labelled.label_ids == ("a", "b", "c")


def test_the_order_of_labels_is_no_change() -> None:
    labelled = task(changes={"label_ids": ("a", "b")})
    assert labelled.edit(stamp(1), {"label_ids": ("b", "a")}) is labelled


def test_a_task_carries_a_bounded_number_of_labels() -> None:
    with pytest.raises(RuleBroken) as refusal:
        task(changes={"label_ids": tuple(numbered_id(n) for n in range(LABELS_MAX + 1))})
    assert refusal.value.faults[0].pointer == "/labelIds"


def test_a_task_is_never_its_own_parent() -> None:
    with pytest.raises(RuleBroken) as refusal:
        task(7).edit(stamp(1), {"parent_id": numbered_id(7)})
    assert refusal.value.faults[0].pointer == "/parentId"


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
    assert refusal.value.faults[0].pointer == "/title"


def test_an_edit_touches_what_it_names_and_nothing_else() -> None:
    before = task(changes={"description": "deep", "due_at": stamp(9).at})
    after = before.edit(stamp(1), {"status": TaskStatus.DONE, "description": None})
    assert (after.status, after.description, after.due_at) == (TaskStatus.DONE, None, stamp(9).at)
