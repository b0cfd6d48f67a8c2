"""Divides the ids of a collection into ranges of about the same number of records."""

from adapters.records.criteria import EVERYTHING, Order, Question, Range
from adapters.records.record import ID, CorruptRecord
from adapters.records.record_store import RecordStore

DIGITS = 8
"""How many characters behind the common beginning of all ids tell where an id lies."""
LOWEST, HIGHEST = 0x20, 0x7E
"""The printable characters of ASCII, of which ids consist."""
ROUNDS_MAX = 14
CLOSE_ENOUGH = 0.05
"""A range may be off by this share of the collection."""


async def ends_of(source: RecordStore, collection: str, ranges: int) -> list[str]:
    """Where all ranges but the last one end; fewer ends where the ids lie too close. Raises StoreUnavailable."""
    total = await source.count(collection, EVERYTHING)
    bounds = await _bounds(source, collection)
    if ranges < 2 or total < ranges or bounds is None:
        return []
    ends: list[str] = []
    for number in range(1, ranges):
        end = await _end(
            source, collection, bounds=bounds, records=total * number / ranges, slack=total * CLOSE_ENOUGH
        )
        if not ends or ends[-1] < end:
            ends.append(end)
    return ends


async def _bounds(source: RecordStore, collection: str) -> tuple[str, str] | None:
    def question(*, descending: bool) -> Question:
        order = Order(ID, descending=descending)
        return Question(collection=collection, where=EVERYTHING, order=order, limit=1)

    try:
        lowest = await source.find(question(descending=False))
        highest = await source.find(question(descending=True))
    except CorruptRecord:
        # One range is slower, and harmless.
        return None
    return (lowest[0][ID], highest[0][ID]) if lowest and highest else None


async def _end(
    source: RecordStore, collection: str, *, bounds: tuple[str, str], records: float, slack: float
) -> str:
    first, last = bounds
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    low, high = _number(first[shared:]), _number(last[shared:])
    end = first
    for _ in range(ROUNDS_MAX):
        middle = (low + high) // 2
        end = first[:shared] + _text(middle)
        below = await source.count(collection, Range(field=ID, at_most=end))
        if abs(below - records) <= slack:
            break
        low, high = (middle, high) if below < records else (low, middle)
    return end


def _number(text: str) -> int:
    number = 0
    for place in range(DIGITS):
        code = ord(text[place]) if place < len(text) else LOWEST
        number = number * (HIGHEST - LOWEST + 1) + min(max(code, LOWEST), HIGHEST) - LOWEST
    return number


def _text(number: int) -> str:
    characters = []
    for _ in range(DIGITS):
        number, digit = divmod(number, HIGHEST - LOWEST + 1)
        characters.append(chr(digit + LOWEST))
    return "".join(reversed(characters))
