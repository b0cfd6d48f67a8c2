import pytest

from domain.entity import is_id
from domain.errors import Conflict, VersionConflict
from tests.unit.builders import ANNA, BEN, project, stamp


def test_a_change_makes_the_next_version_and_leaves_the_old_one_alone() -> None:
    before = project(name="Garden")
    after = before.edit(stamp(5, by=BEN), {"name": "Orchard"})
    assert (before.name, before.version) == ("Garden", 1)
    assert (after.name, after.version, after.updated_by) == ("Orchard", 2, BEN)
    assert (after.created_by, after.created_at) == (ANNA, before.created_at)
    assert after.updated_at == stamp(5).at


def test_a_change_that_changes_nothing_is_no_version() -> None:
    before = project(name="Garden")
    assert before.edit(stamp(5), {"name": "Garden"}) is before


def test_a_deleted_entity_has_its_stamp_and_can_be_restored() -> None:
    deleted = project().delete(stamp(1, by=BEN))
    assert (deleted.is_deleted, deleted.deleted_by, deleted.deleted_at) == (True, BEN, stamp(1).at)
    restored = deleted.restore(stamp(2))
    assert (restored.is_deleted, restored.deleted_by, restored.deleted_at) == (False, None, None)
    assert restored.version == 3


def test_what_is_in_the_trash_cannot_change_or_be_deleted_again() -> None:
    deleted = project().delete(stamp(1))
    with pytest.raises(Conflict):
        deleted.edit(stamp(2), {"name": "Orchard"})
    with pytest.raises(Conflict):
        deleted.delete(stamp(2))


def test_what_is_not_in_the_trash_cannot_be_restored() -> None:
    with pytest.raises(Conflict):
        project().restore(stamp(1))


def test_a_roll_back_brings_the_content_back_as_a_new_version() -> None:
    first = project(name="Garden")
    third = first.edit(stamp(1), {"name": "Orchard"}).edit(stamp(2), {"description": "Apples"})
    back = third.roll_back_to(first, stamp(3, by=BEN))
    assert (back.name, back.description, back.version) == ("Garden", None, 4)
    assert (back.updated_by, back.created_at) == (BEN, first.created_at)


def test_a_roll_back_to_equal_content_is_no_version() -> None:
    first = project(name="Garden")
    third = first.edit(stamp(1), {"name": "Orchard"}).edit(stamp(2), {"name": "Garden"})
    assert third.roll_back_to(first, stamp(3)) is third


def test_a_stale_writer_learns_the_current_version() -> None:
    second = project().edit(stamp(1), {"name": "Orchard"})
    with pytest.raises(VersionConflict) as refusal:
        second.require_version(1)
    assert refusal.value.current_version == 2
    second.require_version(2)
    second.require_version(None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0123456789abcdef01234567", True),
        ("0123456789ABCDEF01234567", False),
        ("0123456789abcdef0123456", False),
        ("0123456789abcdef0123456g", False),
        ("", False),
    ],
)
def test_an_identifier_is_24_lower_case_hex_digits(text: str, expected: bool) -> None:
    assert is_id(text) is expected
