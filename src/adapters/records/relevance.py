"""The order of a search: best first where it is descending, the same in every store.

Records are in the order of their ranks, which `search` defines. Within a rank the id decides, so the newest comes
first. Each rank is a plain question that every store answers from its own index of tokens: no store ranks by itself,
and a position is a rank and an id.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from adapters.records.criteria import (
    RELEVANCE,
    AllOf,
    Criterion,
    HasWords,
    Order,
    Question,
    conjuncts_of,
)
from adapters.records.record import ID, Record
from adapters.records.search import Rank, ranks_of

Find = Callable[[Question], Awaitable[list[Record]]]


async def found_by_relevance(find: Find, question: Question) -> list[Record]:
    """The records of a question in the order of RELEVANCE, each with its rank under that name.

    `find` answers questions in other orders. A record that changes its rank meanwhile appears once.
    """
    found: dict[str, Record] = {}
    for rank, part in _ranked(question):
        rest = replace(part, limit=question.limit - len(found))
        if rest.limit < 1:
            break
        for record in await find(rest):
            found.setdefault(record[ID], {**record, RELEVANCE: rank.value})
    return list(found.values())


def _ranked(question: Question) -> Iterator[tuple[Rank, Question]]:
    """The questions that follow each other, from the position on."""
    is_descending = question.order.descending
    order = Order(ID, descending=is_descending)
    position, last_id = question.after if question.after is not None else (None, "")
    search = _search(question.where)
    for rank in sorted(ranks_of("" if search is None else search.text), reverse=is_descending):
        if position is not None and (rank > position if is_descending else rank < position):  # type: ignore[operator]
            continue
        after = (last_id, last_id) if rank == position else None
        where = question.where if search is None else _with_rank(question.where, search, rank)
        yield rank, replace(question, where=where, order=order, after=after)


def _search(where: Criterion) -> HasWords | None:
    """The first search that every match fulfils; further ones only filter."""
    searches = (one for one in conjuncts_of(where) if isinstance(one, HasWords) and one.rank is None)
    return next(searches, None)


def _with_rank(where: Criterion, search: HasWords, rank: Rank) -> Criterion:
    others = [one for one in conjuncts_of(where) if one is not search]
    return AllOf((*others, HasWords(search.text, rank)))
