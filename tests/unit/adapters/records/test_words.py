"""Texts become tokens, and searches find them, by one rule."""

import unicodedata
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from adapters.records.search import condition_of, holds, terms_of
from adapters.records.words import SIZE_MAX, tokens_of, words_of
from domain.name import has_word
from tests.data.searches import SEARCHES, TASKS

HAN = "準備搬家了東京都日本語移行年度公司电话々〇"
KANA = "ひらがなのテストデータベースガッパャーヴゞﾃﾞｰﾀ"
THAI = "สวัสดีครับน้ำดื่มกินข้าวเพื่อนที่"
FORMS = ("NFC", "NFD")
EVERY = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)


def is_found(query: str, *texts: str, number: int | None = None) -> bool:
    return holds(condition_of(query, None), set(tokens_of(texts, number)))


def test_the_table_is_as_large_as_promised() -> None:
    assert sum(map(len, SEARCHES.values())) >= 380
    assert len(SEARCHES) >= 23


@pytest.mark.parametrize("letters", [HAN, KANA, THAI], ids=["Han", "Kana", "Thai"])
@given(data=st.data())
def test_any_two_neighbouring_letters_find_their_text(letters: str, data: st.DataObject) -> None:
    known = regex.findall(r"\X", letters)
    text = "".join(data.draw(st.lists(st.sampled_from(known), min_size=2, max_size=60)))
    neighbours = regex.findall(r"\X", text)
    for first, second in pairwise(neighbours):
        assert is_found(first + second, f"Tandem {text}", "")
        assert is_found(first, f"{text}!", "")


@given(data=st.data())
def test_any_canonical_respelling_of_a_query_finds_the_same(data: st.DataObject) -> None:
    query = data.draw(st.sampled_from([query for searches in SEARCHES.values() for query, _ in searches]))
    respelled = "".join(unicodedata.normalize(data.draw(st.sampled_from(FORMS)), letter) for letter in query)
    assert terms_of(respelled) == terms_of(query)
    for title, description in TASKS.values():
        assert is_found(respelled, title, description or "") == is_found(query, title, description or "")


@given(st.text(max_size=80), st.sampled_from(FORMS))
def test_any_canonical_respelling_of_a_text_has_the_same_tokens(text: str, form: str) -> None:
    respelled = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    assert set(tokens_of([respelled, text])) == set(tokens_of([text, respelled]))


@given(st.text(max_size=200), st.text(max_size=200))
def test_every_text_finds_itself_and_tokens_are_distinct_and_safe(title: str, description: str) -> None:
    tokens = tokens_of([title, description])
    assert len(tokens) == len(set(tokens))
    assert not any(regex.search(r"[\s'\"\\]|[\x00-\x7f&&\W]", token, regex.V1) for token in tokens)
    assert holds(condition_of(title, None), set(tokens))
    assert holds(condition_of(description, None), set(tokens))


@given(st.text("abc XYZ_-7", max_size=60), st.text("abc XYZ_-7", max_size=60))
def test_the_short_way_for_ascii_gives_the_same_tokens(title: str, description: str) -> None:
    foreign = "ж"
    assert {*tokens_of([title, description]), foreign} == set(tokens_of([title, f"{description} {foreign}"]))


@pytest.mark.parametrize(
    ("query", "title", "is_expected"),
    [
        ("搬家", "準備搬家了", True),
        ("कि", "क", False),
        ("कि", "कि", True),
        ("क", "कि", False),
        ("cafe\u0301", "café", True),
        ("GRÖSSE", "Größe", True),
        ("cafe", "café", True),
        ("Dem", "Demo", True),
        ("pric", "pricing", True),
        ("pric page", "pricing page", False),
        ("lodz", "Łódź", True),
        ("re\u00adset", "reset", True),
        ("code", "Ⓒⓞⓓⓔ", True),
        ("10", "❿", True),
        ("12", "½", False),
        ("windows 11", "Windows™11", True),
        ("ريال", "﷼", True),
        ("الله", "\ufdf2", True),
        ("عليه", "\ufdfa", True),
        ("thing", "Þingvellir", True),
        ("ss", "ẞ", True),
        ("n", "ŉ", True),
        ("\u0647\u0647", "\u06c0\u06c3", True),
        ("\u07cf\u07fa\u07cf", "\u07cf\u07cf", True),
    ],
)
def test_what_a_word_finds(query: str, title: str, is_expected: bool) -> None:
    assert is_found(query, title, "") is is_expected


@pytest.mark.parametrize(
    "pair", ["œoe", "æae", "ßss", "ĳij", "þth", "ðd", "đd", "łl", "øo", "\u0131i", "ꜳaa", "ﬃffi"]
)
def test_a_letter_and_its_usual_spelling_find_each_other(pair: str) -> None:
    letter, spelling = pair[0], pair[1:]
    for one, other in ((letter, spelling), (letter.upper(), spelling), (spelling.upper(), letter)):
        assert is_found(f"x{one}x", f"X{other}X", "")
        assert is_found(f"x{other}x", f"X{one}X", "")


def test_digits_of_all_scripts_are_found_by_their_value() -> None:
    for digit in regex.findall(r"\p{Nt=De}", EVERY):
        value = next(each for each in "0123456789" if regex.match(rf"\p{{nv={each}}}", digit))
        assert is_found(value * 3, digit * 3, "")
        assert is_found(digit * 3, value * 3, "")


def test_compatible_symbols_are_found_by_their_letters_and_digits() -> None:
    for symbol in regex.findall(r"[\p{So}\p{Sc}]", EVERY):
        form = unicodedata.normalize("NFKC", symbol)
        if form != symbol and has_word(form):
            assert is_found(form, f"a {symbol} b", "")
            assert is_found(symbol, f"a {form} b", "")


def test_a_script_is_written_without_spaces_in_all_its_letters_or_in_none() -> None:
    for letters in _letters_by_script():
        dense = [each for each in letters if words_of(each)[0].letters]
        assert dense in ([], letters)
        assert dense or not regex.search(r"[\p{lb=SA}\p{lb=ID}\p{lb=AK}\p{lb=AP}\p{lb=AS}]", "".join(letters))


def _letters_by_script() -> Iterator[list[str]]:
    """The letters of each script; without Latin and Hangul, of which some letters are as wide as Han and part lines as
    these do.
    """
    letters = "".join(regex.findall(r"(?V1)[\p{L}--\p{Default_Ignorable_Code_Point}]", EVERY))
    # The package names the scripts that it knows in no public place.
    scripts = vars(import_module("regex._regex_core"))["PROPERTIES"]["SCRIPT"][1]
    for script in {number: name for name, number in scripts.items()}.values():
        if script not in ("LATN", "HANG", "ZYYY", "LATIN", "HANGUL", "COMMON"):
            yield regex.findall(rf"\p{{sc={script}}}", letters)


@pytest.mark.parametrize(
    ("query", "number", "is_expected"),
    [
        ("#17", 17, True),
        ("#17", 170, False),
        ("#017 roof", 17, True),
        ("17", 17, False),
        ("##17", 17, False),
        ("#17a", 17, False),
    ],
)
def test_a_display_number_is_found_after_a_number_sign(query: str, number: int, is_expected: bool) -> None:
    assert is_found(query, "roof", "", number=number) is is_expected


ANY_FEW = [chr(code) for code in range(0, 0x110000, 11) if not 0xD800 <= code < 0xE000]
NEW = [
    *regex.findall(r"[\p{L}\p{N}\p{M}\p{S}]", "".join(map(chr, range(0x10D40, 0x10F00)))),
    "🩵",
    "🫩",
    "\U0002ebf0",
]


def test_a_search_is_accepted_if_there_are_words_to_search_for() -> None:
    assert [ascii(each) for each in ANY_FEW + NEW if has_word(each) != bool(words_of(each))] == []


def test_a_text_made_to_have_many_tokens_stays_within_the_bound() -> None:
    wide = "\uff21" * 100
    text = " ".join(f"é{number:x}{wide}" for number in range(5_000))
    assert sum(len(token.encode()) for token in tokens_of([text, text])) <= SIZE_MAX


def test_a_search_has_a_bounded_number_of_words() -> None:
    assert len(terms_of(" ".join(map(str, range(1_000))))) == 32
    assert len(words_of("家" * 1_000)) == 999
