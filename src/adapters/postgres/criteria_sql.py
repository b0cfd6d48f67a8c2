"""Questions as SQL: SQLAlchemy renders each template of a question once; afterwards only the values differ.

A template is the question with its values replaced by parameter names. That is a question again, so it serves as the
cache key. Truth values and sync states stay in the template, because the planner only uses a partial index for
constants.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, bindparam, false, func, literal_column, or_, select, true, tuple_, union_all
from sqlalchemy.dialects.postgresql import JSONB, TSQUERY
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.types import Text

from adapters.postgres.columns import IS_ERASED_COLUMN, KEY_COLUMN, NEVER_NULL, WORDS
from adapters.postgres.rows import FORMS
from adapters.postgres.tables import TABLES
from adapters.records.criteria import (
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    IsNull,
    NotNull,
    OneOf,
    Question,
    Range,
    Scalar,
    after_position,
    plain,
)
from adapters.records.record import ID
from adapters.records.search import NOTHING as NO_RECORD
from adapters.records.search import Condition, Every, Except, Some, Token, condition_of
from adapters.records.specs import SPECS
from domain.audit import SyncStatus
from domain.storable import INTEGER_MAX, INTEGER_MIN

SHAPES_MAX = 2_048
"""Templates kept as SQL text; the service uses a few dozen."""

LIMIT = "limit"
NOTHING = AnyOf(())
_SYNC_STATUS = "syncStatus"
_SYNC_STATES = frozenset(SyncStatus)
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_DIALECT: Dialect = PGDialect_psycopg(paramstyle="pyformat")  # type: ignore[no-untyped-call]
_RANGE_BOUNDS = ("above", "at_least", "below", "at_most")

Values = dict[str, Any]
Sql = tuple[str, Values]


def question_sql(question: Question) -> Sql:
    """The statement for a question, which returns rows of the read columns, and its parameters."""
    abstraction = _Abstraction(question.collection)
    where = abstraction.of(question.where)
    after = None
    if question.after is not None:
        position, last_id = question.after
        after = (None if position is None else abstraction.name(position), abstraction.name(last_id))
    template = replace(question, where=where, after=after, limit=0)
    return _question_text(template), {**abstraction.values, LIMIT: question.limit}


def count_sql(collection: str, where: Criterion) -> Sql:
    """The statement that counts the matching rows, and its parameters."""
    abstraction = _Abstraction(collection)
    return _count_text(collection, abstraction.of(where)), abstraction.values


class _Abstraction:
    """Replaces the values of a question by names, in order of appearance.

    A value of another type than its field matches nothing; PostgreSQL would convert it and perhaps find a row.
    """

    def __init__(self, collection: str) -> None:
        self.values: Values = {}
        self._type_of = FORMS[collection].type_of

    def of(self, criterion: Criterion) -> Criterion:
        """The criterion with names for values."""
        template: Criterion = criterion
        match criterion:
            case AllOf(criteria):
                template = AllOf(tuple(map(self.of, criteria)))
            case AnyOf(criteria):
                template = AnyOf(tuple(map(self.of, criteria)))
            case Equals(field, value):
                template = self._equality(field, value)
            case OneOf(field, options):
                template = self._choice(field, options)
            case Holds(field, value):
                template = Holds(field, self.name(value)) if _is_storable(value) else NOTHING
            case HasWords(text, rank):
                template = self._search(condition_of(text, rank))
            case Range():
                template = self._range(criterion)
        return template

    def name(self, value: Scalar | list[Scalar]) -> str:
        """A new name for a value."""
        name = f"p{len(self.values)}"
        self.values[name] = value if isinstance(value, list) else plain(value)
        return name

    def _equality(self, field: str, value: Scalar) -> Criterion:
        if not self._fits(field, value):
            return NOTHING
        is_shown = isinstance(value, bool) or _is_sync_state(field, value)
        return Equals(field, value if is_shown else self.name(value))

    def _choice(self, field: str, options: Sequence[Scalar]) -> Criterion:
        fitting = tuple(plain(option) for option in options if self._fits(field, option))
        if all(_is_sync_state(field, option) for option in fitting):
            return OneOf(field, fitting)
        return OneOf(field, (self.name(list(fitting)),))

    def _search(self, condition: Condition | None) -> Criterion:
        if condition is None:
            return HasWords("")
        return NOTHING if condition == NO_RECORD else HasWords(self.name(_text_query(condition)))

    def _range(self, criterion: Range) -> Criterion:
        bounds = {bound: getattr(criterion, bound) for bound in _RANGE_BOUNDS}
        given = {bound: value for bound, value in bounds.items() if value is not None}
        if not all(self._fits(criterion.field, value) for value in given.values()):
            return NOTHING
        return Range(field=criterion.field, **{bound: self.name(value) for bound, value in given.items()})

    def _fits(self, field: str, value: Scalar) -> bool:
        kind = self._type_of[field]
        return isinstance(value, kind) and (kind is bool) is isinstance(value, bool) and _is_storable(value)


def _text_query(condition: Condition) -> str:
    """The condition as a `tsquery`. Tokens are letters, digits and our own marks: none contains a quote."""
    match condition:
        case Token(text, is_prefix):
            return f"'{text}'{':*' * is_prefix}"
        case Every(parts):
            return f"({' & '.join(map(_text_query, parts))})"
        case Some(parts):
            return f"({' | '.join(map(_text_query, parts))})"
        case Except(found, left_out):
            return f"({_text_query(found)} & !{_text_query(left_out)})"


def _is_sync_state(field: str, value: Scalar) -> bool:
    return field == _SYNC_STATUS and value in _SYNC_STATES


def _is_storable(value: Scalar) -> bool:
    """Whether any row could hold the value; the driver rejects other values."""
    if isinstance(value, str):
        return "\x00" not in value and (value.isascii() or not _HALF_PAIR.search(value))
    return not isinstance(value, int) or INTEGER_MIN <= value <= INTEGER_MAX


@lru_cache(SHAPES_MAX)
def _question_text(template: Question) -> str:
    table = TABLES[template.collection]
    columns = [table.c[name] for name in FORMS[template.collection].read_columns]
    asked = select(*columns).where(
        _clause(template.where, template.collection), _not_erased(template.collection)
    )
    limit: BindParameter[int] = bindparam(LIMIT)
    pages = [
        asked.where(following).order_by(*_ordered(template, table.c)).limit(limit)
        for following in _following(template)
    ]
    if len(pages) == 1:
        return str(pages[0].compile(dialect=_DIALECT))
    both = union_all(*(page.subquery().select() for page in pages)).subquery()
    joined = select(*both.c).order_by(*_ordered(template, both.c)).limit(limit)
    return str(joined.compile(dialect=_DIALECT))


def _ordered(template: Question, columns: ReadOnlyColumnCollection[str, Any]) -> list[ColumnElement[Any]]:
    """The sort keys: nulls first ascending, last descending, and the id in the same direction."""
    names = dict.fromkeys((FORMS[template.collection].column_of[template.order.field], KEY_COLUMN))
    if template.order.descending:
        ordered = [columns[name].desc() for name in names]
        return ordered if template.order.field in NEVER_NULL else [ordered[0].nulls_last(), *ordered[1:]]
    ordered = [columns[name].asc() for name in names]
    return ordered if template.order.field in NEVER_NULL else [ordered[0].nulls_first(), *ordered[1:]]


@lru_cache(SHAPES_MAX)
def _count_text(collection: str, where: Criterion) -> str:
    statement = select(func.count()).select_from(TABLES[collection])
    statement = statement.where(_clause(where, collection), _not_erased(collection))
    return str(statement.compile(dialect=_DIALECT))


def _not_erased(collection: str) -> ColumnElement[bool]:
    return TABLES[collection].c[IS_ERASED_COLUMN].is_not(true())


def _following(template: Question) -> list[ColumnElement[bool]]:
    """The rows after the position, in consecutive parts that each start at one position of an index.

    `after_position` means the same with an "or", for which PostgreSQL would also read all rows before the position.
    """
    collection, order = template.collection, template.order
    if template.after is None:
        return [true()]
    position, last_id = template.after
    if position is None or order.field == ID:
        return [_clause(after_position(order, template.after), collection)]
    here = tuple_(_column(collection, order.field), TABLES[collection].c[KEY_COLUMN])
    there = tuple_(_bound(collection, order.field, position), _bound(collection, ID, last_id))
    if not order.descending:
        return [here > there]
    nulls = [] if order.field in NEVER_NULL else [_clause(IsNull(order.field), collection)]
    return [here < there, *nulls]


def _clause(criterion: Criterion, collection: str) -> ColumnElement[bool]:
    """The clause of an abstracted criterion."""
    clause: ColumnElement[bool]
    match criterion:
        case AllOf(criteria):
            clause = and_(true(), *(_clause(inner, collection) for inner in criteria))
        case AnyOf(criteria):
            clause = or_(false(), *(_clause(inner, collection) for inner in criteria))
        case HasWords(name):
            clause = _has_words(name, collection)
        case OneOf(field, names):
            clause = _one_of(collection, field, names)
        case Holds(field, name):
            clause = _holds(_column(collection, field), name)
        case Range():
            clause = _within(criterion, collection)
        case IsNull(field):
            clause = _column(collection, field).is_(None)
        case NotNull(field):
            clause = _column(collection, field).is_not(None)
        case Equals(field, value):
            clause = _equals(collection, field, value)
    return clause


def _equals(collection: str, field: str, value: Scalar) -> ColumnElement[bool]:
    column = _column(collection, field)
    if isinstance(value, bool):
        return column if value else ~column
    return column == (_shown(value) if _is_sync_state(field, value) else _bound(collection, field, value))


def _column(collection: str, field: str) -> ColumnElement[Any]:
    """The column of a field. Raises KeyError: questions about unknown fields are programming errors."""
    return TABLES[collection].c[FORMS[collection].column_of[field]]


def _shown(state: Scalar) -> ColumnElement[Any]:
    """A sync status as part of the statement's text: there are four, all of them constants."""
    return literal_column(f"'{state}'")


def _bound(collection: str, field: str, name: Scalar) -> ColumnElement[Any]:
    return bindparam(str(name), type_=_column(collection, field).type)


def _one_of(collection: str, field: str, names: Sequence[Scalar]) -> ColumnElement[bool]:
    if not names:
        return false()
    column = _column(collection, field)
    if _is_sync_state(field, names[0]):
        return column.in_([_shown(name) for name in names])
    return column == func.any(bindparam(str(names[0])))


def _holds(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    element = func.to_jsonb(bindparam(name, type_=Text()), type_=JSONB())
    return and_(func.jsonb_typeof(column) == literal_column("'array'"), column.contains(element))


def _has_words(name: str, collection: str) -> ColumnElement[bool]:
    if not name:
        return true()
    if not SPECS[collection].text_fields:
        return false()
    return TABLES[collection].c[WORDS].bool_op("@@")(bindparam(name, type_=TSQUERY()))


def _within(criterion: Range, collection: str) -> ColumnElement[bool]:
    column = _column(collection, criterion.field)
    comparisons: dict[str, Callable[[ColumnElement[Any]], ColumnElement[bool]]] = {
        "above": column.__gt__,
        "at_least": column.__ge__,
        "below": column.__lt__,
        "at_most": column.__le__,
    }
    clauses = [
        comparisons[bound](_bound(collection, criterion.field, name))
        for bound in _RANGE_BOUNDS
        if (name := getattr(criterion, bound)) is not None
    ]
    # Without any bound the field only has to be present.
    return and_(column.is_not(None), *clauses) if not clauses else and_(*clauses)
