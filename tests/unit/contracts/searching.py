"""Search by words: what is found, whatever the script and whatever stands in the text, and in which order."""

from typing import Any

import pytest

from adapters.records.criteria import (
    EVERYTHING,
    RELEVANCE,
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Order,
    Question,
    Range,
)
from adapters.records.record import ID, Record
from adapters.records.record_store import RecordStore
from adapters.records.search import Rank
from tests.unit.contracts.builders import (
    change_set,
    commit_all,
    erasure,
    found_numbers,
    label,
    minutes,
    numbered_id,
    project,
    put,
    task,
)

BEST_FIRST = Order(RELEVANCE, descending=True)
LIVE = Equals("isDeleted", False)


def lacking(number: int, name: str) -> Record:
    """A task without this field."""
    record = task(number)
    del record[name]
    return record


WORDS: list[tuple[str, list[int]]] = [
    ("roof", [1, 2, 3, 7]),
    ("ROOF", [1, 2, 3, 7]),
    ("roo", [1, 2, 3, 7]),
    ("roofs", [3]),
    ("the roof", [1, 7]),
    ("roo the", []),
    ("roof tiles", [1]),
    ("Tiles, the roof!", [1]),
    ("roof window", []),
    ("", [1, 2, 3, 4, 5, 6, 7, 8]),
    ("—?!", [1, 2, 3, 4, 5, 6, 7, 8]),
    ("über", [4]),
    ("ÜBER", [4]),
    ("uber", [4]),
    ("café", [5]),
    ("cafe", [5]),
    ("v2", [6]),
    ("2", [6]),
    ("don", [6]),
    ("don't", [6]),
    ("snake_case", [6]),
    ("case", [6]),
    ("a.b", [6]),
    ("is", [6]),
    ("日本語", [5]),
    ("日本", [5]),
    ("語", [5]),
    ("наш", [4]),
    ("НАШ", [4]),
]


class HasWordsContract:
    """Search by words."""

    async def test_each_word_stands_in_a_text_field(self, store: RecordStore) -> None:
        await commit_all(
            store,
            "tasks",
            task(1, title="Fix the ROOF", description="new tiles"),
            task(2, title="roof", description=None),
            task(3, title="Roofs"),
            task(4, title="Über Наш Haus"),
            task(5, title="Café 日本語"),
            task(6, title="v2-2 don't is", description="snake_case a.b(c) [x] 100% $5 \\d+ 🙂smile"),
            task(7, title="THE", description="a\nroof\twith\r\nlines", deletedReason="window"),
            lacking(8, "description"),
        )
        answers = {text: await found_numbers(store, "tasks", HasWords(text)) for text, _ in WORDS}
        assert answers == dict(WORDS)

    async def test_words_join_other_criteria(self, store: RecordStore) -> None:
        await commit_all(
            store,
            "tasks",
            task(1, title="red roof"),
            task(2, title="red wall"),
            task(3, title="blue", projectId="p"),
        )
        either = AnyOf((HasWords("roof"), HasWords("wall"), Equals("projectId", "p")))
        both = AllOf((HasWords("red"), HasWords("roof")))
        after = AllOf((HasWords("red"), Range(field="id", above=numbered_id(1))))
        await _check(store, [(either, [1, 2, 3]), (both, [1]), (after, [2])])

    async def test_each_collection_has_its_own_text_fields(self, store: RecordStore) -> None:
        await commit_all(store, "labels", label(1, name="urgent bug", color="#00beef"))
        await commit_all(store, "projects", project(1, name="House", description="with an urgent roof"))
        assert await found_numbers(store, "labels", HasWords("urgent")) == [1]
        assert await found_numbers(store, "labels", HasWords("00beef")) == []
        assert await found_numbers(store, "projects", HasWords("house urgent")) == [1]

    async def test_the_last_word_of_a_long_text_is_found(self, store: RecordStore) -> None:
        long_text = " ".join(f"word{number}" for number in range(5_000)) + " lighthouse"
        await commit_all(store, "tasks", task(1, description=long_text[-50_000:]), task(2, title="x" * 500))
        assert await found_numbers(store, "tasks", HasWords("lighthouse")) == [1]
        assert await found_numbers(store, "tasks", HasWords("x" * 500)) == [2]
        assert await found_numbers(store, "tasks", HasWords("x" * 100)) == [2]
        assert await found_numbers(store, "tasks", HasWords("x" * 100 + " roof")) == []

    async def test_the_words_follow_updates_and_removal(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", task(1, title="first"), task(2, title="first"))
        await store.commit(change_set(put("tasks", task(1, version=2, title="second"))))
        await store.apply([change_set(put("tasks", task(2, version=2, title="third")))])
        assert await found_numbers(store, "tasks", HasWords("first")) == []
        assert await found_numbers(store, "tasks", HasWords("second")) == [1]
        assert await found_numbers(store, "tasks", HasWords("third")) == [2]
        await store.commit(change_set(erasure("tasks", 1, version=3)))
        assert await found_numbers(store, "tasks", HasWords("second")) == []

    async def test_found_words_are_ordered_and_paged(self, store: RecordStore) -> None:
        await commit_all(
            store,
            "tasks",
            *(task(number, title="same word", createdAt=minutes(-number)) for number in (1, 2, 3)),
        )
        order = Order("createdAt")
        assert await found_numbers(store, "tasks", HasWords("word"), order=order) == [3, 2, 1]
        rest = await store.find(
            Question(
                collection="tasks",
                where=HasWords("word"),
                order=order,
                after=(minutes(-3), numbered_id(3)),
                limit=1,
            )
        )
        assert [record["id"] for record in rest] == [numbered_id(2)]


SCRIPTS: dict[int, str] = {
    1: "\u0130stanbul Stra\u00dfe",
    2: "istanbul STRASSE",
    3: "caf\u00e9",
    4: "cafe\u0301",
    5: "\u39f4 \u65e5\u672c\u8a9e\u306e\u8a66\u9a13",
    6: "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2",
    7: "\u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    8: "\ufb01ne \u212bngstr\u00f6m \u24b6 x\u00b2 \u2167",
    9: "zero\u200bwidth soft\u00adhyphen no\u00a0break \u202ertl",
    10: "\U0001d400\U0001d401 \U00010400 \U0001f469\u200d\U0001f4bb",
    11: "\u0661\u0662\u0663 \u0645\u0631\u062d\u0628\u0627",
    12: "a" * 63 + " " + "b" * 64 + " " + "c" * 65 + " " + "d" * 256,
    13: "e" * 257 + " " + "\u00e9" * 200,
}
BY_SCRIPT: list[tuple[str, list[int]]] = [
    ("istanbul", [1, 2]),
    ("i stanbul", []),
    ("stra\u00dfe", [1, 2]),
    ("STRA\u1e9eE", [1, 2]),
    ("strasse", [1, 2]),
    ("caf\u00c9", [3, 4]),
    ("cafe", [3, 4]),
    ("cafe\u0301", [3, 4]),
    ("\u65e5\u672c\u8a9e\u306e\u8a66\u9a13", [5]),
    ("\u65e5\u672c\u8a9e", [5]),
    ("\u672c\u65e5", []),
    ("\u39f4", [5]),
    ("\u03bf\u03b4\u03cc\u03c2", [6]),
    ("\u0928\u092e", [7]),
    ("\u0928\u092e\u0938", []),
    ("\u0928\u092e\u0938\u094d\u0924\u0947", [7]),
    ("\u0e2a\u0e27\u0e31", [7]),
    ("\u0e2a\u0e27", []),
    ("\ufb01ne", [8]),
    ("fine", [8]),
    ("\u00e5ngstr\u00d6m", [8]),
    ("x\u00b2", [8]),
    ("x2", [8]),
    ("zero width", [9]),
    ("zerowidth", []),
    ("softhyphen", [9]),
    ("hyphen", []),
    ("break", [9]),
    ("rtl", [9]),
    ("\U0001d400\U0001d401", [10]),
    ("ab", [10]),
    ("\U00010428", [10]),
    ("\U0001f469", list(range(1, 14))),
    ("\u0661\u0662\u0663", [11]),
    ("123", [11]),
    ("\u0645\u0631\u062d\u0628\u0627", [11]),
    ("a" * 63, [12]),
    ("B" * 64, [12]),
    ("c" * 65, [12]),
    ("c" * 64, [12]),
    ("d" * 256, [12]),
    ("E" * 257, [13]),
    ("e" * 127 + "f", []),
    ("\u00c9" * 200, [13]),
]
HOSTILE = [
    ".*",
    "(a+)+$",
    "[",
    "\\",
    "^$",
    "a|b",
    "roof:*",
    "roof & !x",
    "'roof'",
    '"roof"',
    "-roof",
    "roof -tiles",
    "$where",
    "%",
    "_",
    "roof%",
    "{$gt: 1}",
    "\x00roof",
    "\ud800roof",
    "\\w",
    "roof.",
    "!",
    "&|!():*<->",
]
"""What means something to a regular expression, to a text query or to a database. Here only its words do."""


class ScriptContract:
    """Words of every script, and what looks like syntax."""

    async def test_words_of_every_script_are_found_alike(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", *(task(number, title=text) for number, text in SCRIPTS.items()))
        answers = {text: await found_numbers(store, "tasks", HasWords(text)) for text, _ in BY_SCRIPT}
        assert answers == dict(BY_SCRIPT)

    async def test_every_stored_text_finds_its_own_record(self, store: RecordStore) -> None:
        await commit_all(store, "tasks", *(task(number, title=text) for number, text in SCRIPTS.items()))
        for number, text in SCRIPTS.items():
            assert number in await found_numbers(store, "tasks", HasWords(text)), text

    @pytest.mark.parametrize("text", HOSTILE)
    async def test_what_looks_like_syntax_is_read_as_words(self, store: RecordStore, text: str) -> None:
        titles = {1: "roof tiles", 2: "a b w x", 3: "where gt 1 roof", 4: "???"}
        await commit_all(store, "tasks", *(task(number, title=title) for number, title in titles.items()))
        spaced = "".join(char if char.isalnum() else " " for char in text.lower()).split()
        *whole, last = spaced or [""]
        expected = [
            number
            for number, title in titles.items()
            if (set(whole) <= set(title.split()) and any(word.startswith(last) for word in title.split()))
            or not spaced
        ]
        assert await found_numbers(store, "tasks", HasWords(text)) == expected
        assert sorted(await found_numbers(store, "tasks", HasWords(text), order=BEST_FIRST)) == expected


RANKED: dict[int, dict[str, Any]] = {
    1: {"title": "Fix the roof", "description": "needs tiles"},
    2: {"title": "Roof tiles", "description": None},
    3: {"title": "Garden", "description": "roof, tiles and walls"},
    4: {"title": "TILES on the ROOF", "description": "roof"},
    5: {"title": "Tiles", "description": "for a roof"},
    6: {"title": "Roof", "description": "nothing else"},
    7: {"title": "Roof tiles", "description": "thrown away", "isDeleted": True},
    8: {"title": "", "description": "roof tiles"},
}
"""In the title: all in 2, 4, 7; some in 1, 5; none in 3, 8. Number 6 lacks the tiles."""

BY_RANK: list[tuple[Criterion, list[int]]] = [
    (HasWords("roof tiles", Rank.TITLE_EXACT), [2, 4, 7]),
    (HasWords("roof tile", Rank.TITLE_EXACT), []),
    (HasWords("roof tile", Rank.TITLE), [2, 4, 7]),
    (HasWords("roof tiles", Rank.PARTLY_EXACT), [1, 5]),
    (HasWords("roof tile", Rank.PARTLY), [1, 5]),
    (HasWords("roof tiles", Rank.ELSEWHERE_EXACT), [3, 8]),
    (HasWords("roof", Rank.TITLE_EXACT), [1, 2, 4, 6, 7]),
    (HasWords("roof", Rank.PARTLY_EXACT), []),
    (HasWords("ROOF", Rank.ELSEWHERE_EXACT), [3, 5, 8]),
    (HasWords("ROO", Rank.ELSEWHERE), [3, 5, 8]),
    (HasWords("#6", Rank.NUMBER), [6]),
    (HasWords("roof", Rank.NUMBER), []),
    (HasWords("", Rank.TITLE_EXACT), [1, 2, 3, 4, 5, 6, 7, 8]),
    (HasWords("!", Rank.PARTLY), []),
    (HasWords("", Rank.ELSEWHERE), []),
    (
        AnyOf((HasWords("garden", Rank.TITLE_EXACT), HasWords("tiles roof", Rank.PARTLY_EXACT))),
        [1, 3, 5],
    ),
]


class RelevanceContract:
    """The order of a search: all words in the title, some, none; exact before others; then newest first."""

    async def test_a_rank_can_be_asked_for(self, store: RecordStore) -> None:
        await _commit_ranked(store)
        answers = [(criterion, await found_numbers(store, "tasks", criterion)) for criterion, _ in BY_RANK]
        assert answers == BY_RANK

    async def test_the_title_comes_first(self, store: RecordStore) -> None:
        await _commit_ranked(store)
        questions: list[tuple[Criterion, list[int]]] = [
            (AllOf((LIVE, HasWords("roof tiles"))), [4, 2, 5, 1, 8, 3]),
            (AllOf((HasWords("tiles"), HasWords("roof"), LIVE)), [5, 4, 2, 8, 3, 1]),
            (AllOf((LIVE, HasWords("#2 tiles"))), [2]),
            (AllOf((LIVE, HasWords("roof"))), [6, 4, 2, 1, 8, 5, 3]),
            (AllOf((LIVE, HasWords("roof nowhere"))), []),
            (LIVE, [8, 6, 5, 4, 3, 2, 1]),
            (EVERYTHING, [8, 7, 6, 5, 4, 3, 2, 1]),
            (AllOf((HasWords(" - "), LIVE)), [8, 6, 5, 4, 3, 2, 1]),
        ]
        for where, expected in questions:
            assert await found_numbers(store, "tasks", where, order=BEST_FIRST) == expected

    async def test_a_found_record_says_its_place_and_is_otherwise_as_it_was_put(
        self, store: RecordStore
    ) -> None:
        await _commit_ranked(store)
        question = Question(collection="tasks", where=HasWords("roof tiles"), order=BEST_FIRST, limit=9)
        records = await store.find(question)
        assert [record.pop(RELEVANCE) for record in records] == [5, 5, 5, 3, 3, 1, 1]
        stored = await store.fetch("tasks", [record[ID] for record in records])
        assert records == [stored[record[ID]] for record in records]

    @pytest.mark.parametrize("descending", [False, True], ids=["worst first", "best first"])
    @pytest.mark.parametrize("limit", [1, 2, 3, 20])
    async def test_pages_miss_and_repeat_nothing(
        self, store: RecordStore, limit: int, descending: bool
    ) -> None:
        await _commit_ranked(store)
        order, after, seen = Order(RELEVANCE, descending), None, list[int]()
        where = AllOf((HasWords("roof tiles"), LIVE))
        while records := await store.find(
            Question(collection="tasks", where=where, order=order, after=after, limit=limit)
        ):
            seen.extend(int(record[ID], 16) for record in records)
            after = (records[-1][RELEVANCE], records[-1][ID])
        assert seen == ([4, 2, 5, 1, 8, 3] if descending else [3, 8, 1, 5, 2, 4])

    async def test_the_order_follows_a_change_of_title(self, store: RecordStore) -> None:
        await _commit_ranked(store)
        await store.commit(change_set(put("tasks", task(3, version=2, title="Roof tiles"))))
        await store.apply(
            [change_set(put("tasks", task(2, version=2, title="x", description="tiles, roof")))]
        )
        found = await found_numbers(store, "tasks", AllOf((LIVE, HasWords("roof tiles"))), order=BEST_FIRST)
        assert found == [4, 3, 5, 1, 8, 2]

    async def test_names_lead_in_other_collections(self, store: RecordStore) -> None:
        await commit_all(store, "projects", project(1, name="House", description="a pond in the garden"))
        await commit_all(store, "projects", project(2, name="Garden", description="not a house"))
        await commit_all(store, "labels", label(1, name="garden"))
        assert await found_numbers(store, "projects", HasWords("garden"), order=BEST_FIRST) == [2, 1]
        assert await found_numbers(store, "projects", HasWords("house"), order=BEST_FIRST) == [1, 2]
        assert await found_numbers(store, "labels", HasWords("garden"), order=BEST_FIRST) == [1]


async def _commit_ranked(store: RecordStore) -> None:
    await commit_all(
        store, "tasks", *(task(number, displayId=number, **fields) for number, fields in RANKED.items())
    )


async def _check(store: RecordStore, expectations: list[tuple[Criterion, list[int]]]) -> None:
    answers = [(criterion, await found_numbers(store, "tasks", criterion)) for criterion, _ in expectations]
    assert answers == expectations
