"""Questions as MongoDB filters and sort keys."""

from adapters.records.criteria import AllOf, Criterion, IsNull, Order, Question, after_position
from adapters.records.document_filter import DOCUMENT_ID, Filter, filter_of
from adapters.records.record import ID, IS_ERASED

_NO_TOMBSTONE = IsNull(IS_ERASED)


def lasting_filter(where: Criterion) -> Filter:
    """The filter for the records that match and are no tombstones."""
    return filter_of(AllOf((where, _NO_TOMBSTONE)))


def question_filter(question: Question) -> Filter:
    """The filter of a question, from its keyset position on."""
    where = question.where
    if question.after is not None:
        where = AllOf((where, after_position(question.order, question.after)))
    return lasting_filter(where)


def sort_of(order: Order) -> list[tuple[str, int]]:
    """The sort keys; MongoDB puts null and missing fields first ascending and last descending, as the algebra does."""
    direction = -1 if order.descending else 1
    if order.field == ID:
        return [(DOCUMENT_ID, direction)]
    return [(order.field, direction), (DOCUMENT_ID, direction)]
