from domain.audit import changes_between, undo


def test_changes_hold_each_field_that_differs_before_and_after() -> None:
    before = {"id": "1", "version": 1, "name": "Garden", "color": None, "status": "ACTIVE"}
    after = {"id": "1", "version": 2, "name": "Orchard", "color": "#00ff00", "status": "ACTIVE"}
    assert changes_between(before, after) == {
        "name": {"before": "Garden", "after": "Orchard"},
        "color": {"before": None, "after": "#00ff00"},
    }


def test_a_first_version_lists_what_is_set() -> None:
    assert changes_between(None, {"id": "1", "version": 1, "name": "Garden", "color": None}) == {
        "name": {"before": None, "after": "Garden"}
    }


def test_undoing_changes_gives_the_state_before() -> None:
    before = {"name": "Garden", "color": None}
    after = {"name": "Orchard", "color": "#00ff00"}
    assert undo(after, changes_between(before, after)) == before
