"""The table of searches in many scripts, asked of every store."""

from adapters.records.criteria import RELEVANCE, AnyOf, Equals, HasWords, Order
from adapters.records.record_store import RecordStore
from tests.data.searches import SEARCHES, TASKS
from tests.unit.contracts.builders import commit_all, found_numbers, task

BEST_FIRST = Order(RELEVANCE, descending=True)


class SearchTableContract:
    """Each search finds the same, in the same order."""

    async def test_every_search_of_the_table_finds_the_same_best_first(self, store: RecordStore) -> None:
        await _commit_table(store)
        answers = {
            script: [
                (query, await found_numbers(store, "tasks", HasWords(query), order=BEST_FIRST))
                for query, _ in searches
            ]
            for script, searches in SEARCHES.items()
        }
        assert answers == SEARCHES

    async def test_other_orders_counts_and_alternatives_find_the_same(self, store: RecordStore) -> None:
        await _commit_table(store)
        for query in ("cafe", "搬家", "#17", "ROOF t", "น้ำ", "一"):
            best = await found_numbers(store, "tasks", HasWords(query), order=BEST_FIRST)
            by_time = await found_numbers(store, "tasks", HasWords(query), order=Order("createdAt"))
            assert by_time == sorted(best)
            assert await store.count("tasks", HasWords(query)) == len(best)
            either = AnyOf((HasWords(query), Equals("displayId", 3)))
            assert await found_numbers(store, "tasks", either) == sorted({*best, 3})


async def _commit_table(store: RecordStore) -> None:
    tasks = (
        task(number, title=title, description=description, displayId=number)
        for number, (title, description) in TASKS.items()
    )
    await commit_all(store, "tasks", *tasks)
