"""Records that a store holds and nobody can read: who hears of them, and the question that leaves them out."""

from dataclasses import replace
from typing import Protocol, runtime_checkable

from adapters.records.criteria import AllOf, AnyOf, Criterion, Question, Range
from adapters.records.record import ID, CorruptRecord, Record
from adapters.records.record_store import RecordStore

LEFT_OUT_MAX = 100
"""How many damaged records one list leaves out; with more of them it fails and names one."""


@runtime_checkable
class NotesDamage(Protocol):
    """A store that remembers which of its records cannot be read."""

    def note_damage(self, collection: str, error: CorruptRecord, question: Question | None) -> None:
        """Notes a record that the store has returned and that fits no entity. `question` finds it again."""


def note_damage(
    store: RecordStore, collection: str, error: CorruptRecord, question: Question | None = None
) -> None:
    """Notes the damage where the store remembers it."""
    if isinstance(store, NotesDamage):
        store.note_damage(collection, error, question)


def all_but(record_id: str) -> Criterion:
    """Every record except this one; all ids of records are texts, so one of another kind is left out as well."""
    return AnyOf((Range(field=ID, below=record_id), Range(field=ID, above=record_id)))


async def find_around_damage(store: RecordStore, question: Question) -> list[Record]:
    """The records of a question without those that the store cannot decode.

    Raises CorruptRecord where one of them has no known id, or where there are more than LEFT_OUT_MAX.
    """
    for _ in range(LEFT_OUT_MAX):
        try:
            return await store.find(question)
        except CorruptRecord as error:
            if error.record_id is None:
                raise
            question = replace(question, where=AllOf((question.where, all_but(error.record_id))))
    return await store.find(question)
