"""Counts and rewrites old records page by page: bounded where it counts, and without those that cannot be rewritten."""

from collections.abc import Sequence

from adapters.records.old_records import LOOKED_AT_MAX, PAGE, StoredFormat, rewritten_in, waiting_in
from domain.errors import AlreadyExists
from tests.unit.contracts.builders import commit_all, label, numbered_id
from tests.unit.memory_store import MemoryRecordStore


class AgedStore(MemoryRecordStore):
    """Reports every tenth of the labels 1 to `size` as old; rewriting `doubled` fails because its value is taken."""

    def __init__(self, size: int, *, doubled: int | None = None) -> None:
        super().__init__()
        self.old = {numbered_id(number) for number in range(1, size + 1) if number % 10 == 0}
        self.pages: list[int] = []
        self._ids = [numbered_id(number) for number in range(1, size + 1)]
        self._doubled = None if doubled is None else numbered_id(doubled)

    async def formats(self, collection: str, *, after: str | None, limit: int) -> list[StoredFormat]:
        assert collection == "labels"
        page = [record_id for record_id in self._ids if after is None or record_id > after][:limit]
        self.pages.append(len(page))
        return [StoredFormat(one, is_current=one not in self.old, fits=one != numbered_id(7)) for one in page]

    async def rewrite(self, collection: str, ids: Sequence[str]) -> int:
        assert collection == "labels"
        assert len(ids) <= PAGE
        if self._doubled in ids:
            raise AlreadyExists(fields=("name",))
        self.old -= set(ids)
        return len(ids)


async def test_a_count_ends_at_its_bound_and_says_that_there_is_more() -> None:
    store = AgedStore(LOOKED_AT_MAX + 10 * PAGE)
    found = await waiting_in(store, "labels")
    assert (found.looked_at, found.waiting, found.unfit) == (LOOKED_AT_MAX, LOOKED_AT_MAX // 10, 1)
    assert not found.is_complete
    assert max(store.pages) <= PAGE


async def test_a_count_of_all_is_exact_and_changes_nothing() -> None:
    store = AgedStore(2 * PAGE + 3)
    found = await waiting_in(store, "labels")
    assert (found.looked_at, found.waiting, found.rewritten) == (2 * PAGE + 3, PAGE // 5, 0)
    assert found.is_complete
    assert len(store.old) == PAGE // 5


async def test_rewriting_reaches_every_page() -> None:
    store = AgedStore(LOOKED_AT_MAX + PAGE)
    done = await rewritten_in(store, "labels")
    assert store.old == set()
    assert (done.looked_at, done.waiting, done.is_complete) == (LOOKED_AT_MAX + PAGE, 0, True)
    assert done.rewritten == (LOOKED_AT_MAX + PAGE) // 10


async def test_only_the_record_with_a_taken_value_stays_old() -> None:
    store = AgedStore(PAGE, doubled=20)
    done = await rewritten_in(store, "labels")
    assert store.old == {numbered_id(20)}
    assert (done.rewritten, done.waiting) == (PAGE // 10 - 1, 1)


async def test_a_store_without_old_formats_has_none_waiting() -> None:
    store = MemoryRecordStore("plain")
    await commit_all(store, "labels", label(1), label(2))
    found = await waiting_in(store, "labels")
    assert (found.store, found.looked_at, found.waiting, found.unfit) == ("plain", 2, 0, 0)
