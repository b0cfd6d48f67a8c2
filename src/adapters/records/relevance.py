"""The order of a search: best first where it is descending, the same in every store.

Records with all words in their first text field (a title, a name) come before records with some of them there, and
those before records with words in other fields only. Within a group the id decides, so the newest comes first. Each
group is a plain question that every store answers from its own index of words: no store ranks by itself, and a
position is a group and an id.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from adapters.records.criteria import (
    RELEVANCE,
    AllOf,
    Criterion,
    HasWords,
    Lead,
    Order,
    Question,
    conjuncts_of,
    words_of,
)
from adapters.records.record import ID, Record

Find = Callable[[Question], Awaitable[list[Record]]]


async def found_by_relevance(find: Find, question: Question) -> list[Record]:
    """The records of a question in the order of RELEVANCE, each with its group under that name.

    `find` answers questions in other orders. A record that changes its group meanwhile appears once.
    """
    found: dict[str, Record] = {}
    for lead, part in _groups(question):
        rest = replace(part, limit=question.limit - len(found))
        if rest.limit < 1:
            break
        for record in await find(rest):
            found.setdefault(record[ID], {**record, RELEVANCE: lead.value})
    return list(found.values())


def _groups(question: Question) -> Iterator[tuple[Lead, Question]]:
    """The questions that follow each other, from the position on."""
    is_descending = question.order.descending
    order = Order(ID, descending=is_descending)
    position, last_id = question.after if question.after is not None else (None, "")
    for lead in sorted(_possible(question.where), reverse=is_descending):
        if position is not None and (lead > position if is_descending else lead < position):  # type: ignore[operator]
            continue
        after = (last_id, last_id) if lead == position else None
        yield lead, replace(question, where=_led(question.where, lead), order=order, after=after)


def _possible(where: Criterion) -> tuple[Lead, ...]:
    """The groups that can hold records: a single word cannot occur in the first field only in part."""
    words = words_of(" ".join(criterion.text for criterion in _searches(where)))
    if not words:
        return (Lead.ALL,)
    return (Lead.NONE, Lead.ALL) if len(words) == 1 else tuple(Lead)


def _searches(where: Criterion) -> list[HasWords]:
    """The searches that every match fulfils."""
    return [one for one in conjuncts_of(where) if isinstance(one, HasWords) and one.lead is None]


def _led(where: Criterion, lead: Lead) -> Criterion:
    """The criterion narrowed to one group. Several searches count as one for all their words."""
    searches = _searches(where)
    others = [criterion for criterion in conjuncts_of(where) if criterion not in searches]
    return AllOf((*others, HasWords(" ".join(search.text for search in searches), lead)))
