"""Which databases a process takes for Tandem's own, and where its collections lie in them."""

import pytest

from adapters.mongo.adopted_database import require_own
from adapters.records.record_store import StoreRefused


@pytest.mark.parametrize(
    ("collections", "prefix"),
    [
        ([], ""),
        (["control", "tasks", "lanes"], ""),
        (["users", "tasks", "counters", "tandem.control"], "tandem."),
        (["control", "counters"], ""),
        (["unrelated"], ""),
    ],
)
def test_the_collections_say_whose_a_database_is(collections: list[str], prefix: str) -> None:
    assert require_own("app", collections) == prefix


@pytest.mark.parametrize("only", ["user_roles", "user_team_details", "task_details", "watchlist", "counters"])
def test_a_database_of_another_service_is_refused_with_the_next_command(only: str) -> None:
    with pytest.raises(StoreRefused, match=f"app belongs to another service.*{only}.*tandem adopt --dry-run"):
        require_own("app", ["tasks", only, "users"])
