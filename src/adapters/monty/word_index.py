"""Which records hold which words: what a text index is elsewhere, kept in this process.

Every record has a number, and every word a sorted array of the numbers of those that hold it: four bytes each, so
that a hundred thousand tasks of a hundred words take some forty megabytes.
"""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256

from adapters.monty.word_search import NONE_AT_ALL, FoundByWords, WordTest
from adapters.records.criteria import Equals, HasWords, Lead, words_of
from adapters.records.record import ID, IS_DELETED, Record, is_tombstone

WORDS_MAX = 4_000
"""The most words of one record that are kept; one that has more is read whenever somebody searches."""
WORD_LENGTH_MAX = 64
"""Longer words are kept as their digest."""

Postings = defaultdict[str, "array[int]"]
_NOTHING: tuple[set[str], set[str]] = (set(), set())


class WordIndex:
    """The words of a collection's text fields. `read` answers the stored state of a record."""

    def __init__(self, text_fields: tuple[str, ...], read: Callable[[str], Record | None]) -> None:
        self._text_fields = text_fields
        self._read = read
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._anywhere: Postings = defaultdict(partial(array, "I"))
        self._leading: Postings = defaultdict(partial(array, "I"))
        self._apart: dict[int, bool | None] = {}
        self._overlong: set[int] = set()

    def replace(self, before: Record | None, after: Record) -> None:
        """Takes note that a record has a new state. Noting it twice is harmless."""
        record_id = after[ID]
        number = self._numbers.setdefault(record_id, len(self._ids))
        add = _add
        if number == len(self._ids):
            self._ids.append(record_id)
            add = _add_last
        self._note_state(number, after)
        texts = self._texts(after)
        if before is not None and self._texts(before) == texts:
            return
        words, leading = self._kept(number, texts)
        old_words, old_leading = _NOTHING if before is None else self._kept(None, self._texts(before))
        for postings, old, new in ((self._anywhere, old_words, words), (self._leading, old_leading, leading)):
            _drop(postings, number, old - new)
            add(postings, number, new - old)

    def search(self, wanted: Sequence[HasWords], *, is_deleted: bool | None) -> FoundByWords:
        """The records that fulfil all of the criteria, each of which has a word at least.

        `is_deleted` limits them to those in the trash, or to those that are not.
        """
        scope = () if is_deleted is None else (Equals(IS_DELETED, is_deleted),)
        return FoundByWords(
            ids=self._ids,
            numbers=self._numbers,
            tests=tuple(map(self._test, wanted)),
            decided=(*wanted, *scope),
            is_deleted=is_deleted,
            apart=self._apart,
            known={number: self._is_found(self._ids[number], wanted) for number in self._overlong},
        )

    def _test(self, criterion: HasWords) -> WordTest:
        words = _kept_words(words_of(criterion.text))
        anywhere = tuple(self._anywhere.get(word, NONE_AT_ALL) for word in words)
        leading = tuple(self._leading.get(word, NONE_AT_ALL) for word in words)
        match criterion.lead:
            case Lead.ALL:
                return WordTest(every=leading)
            case Lead.SOME:
                return WordTest(every=anywhere, some=leading, not_every=leading)
            case Lead.NONE:
                return WordTest(every=anywhere, none=leading)
            case None:
                return WordTest(every=anywhere)

    def _is_found(self, record_id: str, wanted: Iterable[HasWords]) -> bool:
        record = self._read(record_id)
        if record is None or is_tombstone(record):
            return False
        texts = self._texts(record)
        anywhere, leading = set(words_of(" ".join(texts))), set(words_of(texts[0]))
        return all(_fulfils(criterion, anywhere, leading) for criterion in wanted)

    def _note_state(self, number: int, record: Record) -> None:
        state = record.get(IS_DELETED)
        if state is False:
            self._apart.pop(number, None)
        else:
            self._apart[number] = state

    def _kept(self, number: int | None, texts: Sequence[str]) -> tuple[set[str], set[str]]:
        """What is kept of the words: all, and those of the first field. Those come first, so none of them is cut off.

        Notes whether the numbered record has too many.
        """
        words = words_of(" ".join(texts))
        if len(words) > WORDS_MAX:
            words = words[:WORDS_MAX]
            if number is not None:
                self._overlong.add(number)
        elif number is not None:
            self._overlong.discard(number)
        return _kept_words(words), _kept_words(words_of(texts[0]))

    def _texts(self, record: Record) -> list[str]:
        return [text if isinstance(text := record.get(name), str) else "" for name in self._text_fields]


def _fulfils(criterion: HasWords, anywhere: set[str], leading: set[str]) -> bool:
    words = set(words_of(criterion.text))
    if not words <= anywhere:
        return False
    led = words & leading
    return criterion.lead in (None, Lead.ALL if led == words else Lead.SOME if led else Lead.NONE)


def _kept_words(words: Sequence[str]) -> set[str]:
    if max(map(len, words), default=0) <= WORD_LENGTH_MAX:
        return set(words)
    return {word if len(word) <= WORD_LENGTH_MAX else _digest(word) for word in words}


def _digest(word: str) -> str:
    return sha256(word.encode("utf-8", "surrogatepass")).hexdigest()


def _drop(postings: Postings, number: int, words: set[str]) -> None:
    for word in words:
        numbers = postings.get(word, NONE_AT_ALL)
        at = bisect_left(numbers, number)
        if at < len(numbers) and numbers[at] == number:
            del postings[word][at]
            if not postings[word]:
                del postings[word]


def _add(postings: Postings, number: int, words: set[str]) -> None:
    for word in words:
        numbers = postings[word]
        if not numbers or number > numbers[-1]:
            numbers.append(number)
        elif numbers[at := bisect_left(numbers, number)] != number:
            numbers.insert(at, number)


def _add_last(postings: Postings, number: int, words: set[str]) -> None:
    """Adds a number above all others, as those of new records are."""
    for word in words:
        postings[word].append(number)
