"""Lists and searches over many tasks: the cost of a later page against the first, and of a search."""

import os
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from pymongo import MongoClient

from adapters.embedded_postgres.record_store import EmbeddedPostgresRecordStore
from adapters.mongo.record_store import MongoRecordStore
from adapters.records.change_set import ChangeSet, Put
from adapters.records.criteria import (
    RELEVANCE,
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    OneOf,
    Order,
    Question,
    Range,
)
from adapters.records.record import ID, Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import TASKS
from benchmarks.records import NOON, task_id, task_record
from benchmarks.report import Figure, Report, at_most

SECTION = "Lists and searches"
COUNT = 100_000
TOGETHER = 1_000
LIMIT = 20
LATER_PAGE = 1_000
ROUNDS = 41
SEARCHES = 60
WORDS = 5_000
TEXT_WORDS = 40
PAGE_RATIO_MAX = 1.2
SEARCH_MS_MAX = {"postgres": 20}
MONGO_TIMEOUT_MS = 60_000

LIVE = Equals("isDeleted", False)
NEWEST = Order("createdAt", descending=True)
OWNER, PROJECT, MEMBER = "0" * 24, "b" * 24, f"{77:024x}"
TEAMS = 200
BUSY_TEAMS = tuple(f"c{number:023x}" for number in range(40))
BUSY_LATER_PAGE = 250
"""Pages of a member's tasks, about a tenth of all, two thirds of which are due some time."""
AUDIENCE = AnyOf(
    (
        Equals("ownerId", MEMBER),
        OneOf("teamId", BUSY_TEAMS),
        OneOf("assigneeId", (MEMBER, *BUSY_TEAMS)),
    )
)
SEEN = AllOf((LIVE, AUDIENCE))

DATED = Range(field="dueBy", at_least=datetime.min.replace(tzinfo=UTC))
"""Lists in the order of due dates ask for dated tasks first."""

LISTS: dict[str, tuple[Criterion, Order]] = {
    "all by createdAt": (LIVE, NEWEST),
    "by project": (AllOf((LIVE, Equals("projectId", PROJECT))), NEWEST),
    "by owner": (AllOf((LIVE, Equals("ownerId", OWNER))), NEWEST),
    "all by updatedAt": (LIVE, Order("updatedAt", descending=True)),
    "all by dueAt": (AllOf((LIVE, DATED)), Order("dueBy")),
    "all by priority": (LIVE, Order("priority")),
    "all by displayId": (LIVE, Order("displayId", descending=True)),
}
MEMBER_LISTS: dict[str, tuple[Criterion, Order]] = {
    "a member's by createdAt": (SEEN, NEWEST),
    "a member's by updatedAt": (SEEN, Order("updatedAt", descending=True)),
    "a member's by dueAt": (AllOf((SEEN, DATED)), Order("dueBy")),
    "a member's by priority": (SEEN, Order("priority")),
    "a member's by displayId": (SEEN, Order("displayId", descending=True)),
}


async def measure(report: Report) -> None:
    """PostgreSQL, and MongoDB if MONGODB_URI is set; `embedded_store` measures MontyDB."""
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as folder:
        # If this process is root, PostgreSQL runs under another account.
        path = Path(folder)
        path.chmod(0o755)  # noqa: ASYNC240 - nothing else runs yet
        postgres = EmbeddedPostgresRecordStore(path / "postgres")
        await postgres.open()
        await postgres.prepare()
        try:
            await fill(postgres)
            # As autovacuum does within a minute.
            with psycopg.connect(postgres.url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
            await _measure_store(report, postgres)
        finally:
            await postgres.close()
    await _measure_mongo(report)


async def _measure_mongo(report: Report) -> None:
    uri = os.environ.get("MONGODB_URI")
    if uri is None:
        report.note(
            SECTION,
            "MongoDB was not measured: MONGODB_URI is not set, and the stand-in sorts the whole collection for every "
            "page (2 s for 5,000 tasks), unlike MongoDB.",
        )
        return
    database = f"bench_{secrets.token_hex(4)}"
    mongo = MongoRecordStore(uri, database, timeout_ms=MONGO_TIMEOUT_MS)
    await mongo.open()
    try:
        await mongo.prepare()
        await fill(mongo)
        await _measure_store(report, mongo)
    finally:
        await mongo.close()
        with MongoClient[dict[str, Any]](uri) as client:
            client.drop_database(database)


async def _measure_store(report: Report, store: RecordStore) -> None:
    for name, (where, order) in LISTS.items():
        first = Question(collection="tasks", where=where, order=order, limit=LIMIT)
        await _pages(report, store, name, first, later_page=LATER_PAGE)
    for name, (where, order) in MEMBER_LISTS.items():
        first = Question(collection="tasks", where=where, order=order, limit=LIMIT)
        await _pages(report, store, name, first, later_page=BUSY_LATER_PAGE)
    await _audience(report, store)
    await _first_search(report, store)
    for kind, texts in search_texts().items():
        for order_name, order in (
            ("newest first", NEWEST),
            ("by relevance", Order(RELEVANCE, descending=True)),
        ):
            await _searches(report, store, name=f"{kind}, {order_name}", texts=texts, order=order)


async def fill(store: RecordStore, *, count: int = COUNT) -> None:
    """Stores tasks of some 500 people in 200 teams; the words of their texts are distributed as in a language."""
    chance = random.Random(7)
    vocabulary = [f"{''.join(chance.choices('abdegiklmnoprstuvz', k=6))}{n}" for n in range(WORDS)]
    weights = [1 / (n + 1) for n in range(WORDS)]
    draw = partial(chance.choices, vocabulary, weights)
    for start in range(0, count, TOGETHER):
        puts = (
            Put(TASKS.collection, _task(number, chance, draw(k=TEXT_WORDS)), 0)
            for number in range(start, start + TOGETHER)
        )
        await store.commit(ChangeSet(tuple(puts)))


def _task(number: int, chance: random.Random, words: Sequence[str]) -> Record:
    made = NOON + timedelta(seconds=number)
    return {
        **task_record(number),
        "title": " ".join(words[:6]),
        "description": " ".join(words[6:]),
        "ownerId": OWNER if number % 3 == 0 else f"{chance.randrange(1, 500):024x}",
        "projectId": PROJECT if number % 4 == 0 else None,
        "teamId": f"c{chance.randrange(TEAMS):023x}" if number % 2 else None,
        "assigneeId": f"{chance.randrange(1, 500):024x}" if number % 5 == 0 else None,
        "createdAt": made,
        "updatedAt": made + timedelta(seconds=chance.randrange(10_000)),
        "dueBy": made + timedelta(days=chance.randrange(90)) if number % 3 else None,
        "priority": chance.choice((1, 2, 2, 3)),
        "displayId": number + 1,
    }


async def _pages(report: Report, store: RecordStore, name: str, first: Question, *, later_page: int) -> None:
    """The first page and a late one in turn, so that changes in the machine's speed affect both."""
    after = await _position(store, first, LIMIT * (later_page - 1))
    later = Question(collection="tasks", where=first.where, order=first.order, limit=LIMIT, after=after)
    assert len(await store.find(later)) == LIMIT
    early_ms, late_ms = [], []
    for _ in range(ROUNDS):
        early_ms.append(await _ms(store, first))
        late_ms.append(await _ms(store, later))
    early, late = statistics.median(early_ms), statistics.median(late_ms)
    raw = f"page 1: {early:.2f} ms, page {later_page}: {late:.2f} ms, {LIMIT} of {COUNT} (median of {ROUNDS})"
    title = f"{store.name}: {name}, page {later_page} against 1"
    report.add(SECTION, at_most(title, late / early, PAGE_RATIO_MAX, raw=raw))


async def _position(store: RecordStore, first: Question, passed: int) -> tuple[Any, str]:
    """The position after this many records."""
    after: tuple[Any, str] | None = None
    while passed:
        limit = min(TOGETHER, passed)
        question = Question(
            collection="tasks", where=first.where, order=first.order, limit=limit, after=after
        )
        last = (await store.find(question))[limit - 1]
        after, passed = (last[first.order.field], last[ID]), passed - limit
    assert after is not None
    return after


async def _audience(report: Report, store: RecordStore) -> None:
    """A page of the tasks that a member of many teams may see."""
    question = Question(collection="tasks", where=SEEN, order=NEWEST, limit=LIMIT)
    list_ms = statistics.median([await _ms(store, question) for _ in range(ROUNDS)])
    by_id: list[float] = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        await store.fetch("tasks", [task_id(number * 997)])
        by_id.append((time.perf_counter() - began) * 1_000)
    one_ms = statistics.median(by_id)
    visible = await store.count("tasks", question.where)
    raw = f"{list_ms:.2f} ms, {visible} visible; one task by id {one_ms:.3f} ms"
    figure = Figure(f"{store.name}: a page of tasks visible to a member", list_ms, "ms", "–", None, raw)
    report.add(SECTION, figure)


async def _first_search(report: Report, store: RecordStore) -> None:
    question = Question(collection="tasks", where=AllOf((LIVE, HasWords("nowhere"))), limit=LIMIT)
    first, second = await _ms(store, question), await _ms(store, question)
    raw = f"then {second:.2f} ms"
    figure = Figure(f"{store.name}: the very first search", first, "ms", "–", None, raw)
    report.add(SECTION, figure)


def search_texts() -> dict[str, list[str]]:
    """Typical searches: rare words, frequent ones, and both together."""
    chance = random.Random(7)
    vocabulary = [f"{''.join(chance.choices('abdegiklmnoprstuvz', k=6))}{n}" for n in range(WORDS)]
    rare, usual, frequent = (
        vocabulary[2_000 : 2_000 + SEARCHES],
        vocabulary[100 : 100 + SEARCHES],
        vocabulary[:6],
    )
    return {
        "rare word": rare,
        "usual word": usual,
        "frequent word": frequent * (SEARCHES // len(frequent)),
        "two words": [f"{usual[n]} {frequent[n % len(frequent)]}" for n in range(SEARCHES)],
    }


async def _searches(
    report: Report, store: RecordStore, *, name: str, texts: Sequence[str], order: Order
) -> None:
    questions = [
        Question(collection="tasks", where=AllOf((LIVE, HasWords(text))), order=order, limit=LIMIT)
        for text in texts
    ]
    found = [len(await store.find(question)) for question in questions[:6]]
    times = sorted([await _ms(store, question) for question in questions])
    median = statistics.median(times)
    matches = await store.count("tasks", questions[0].where)
    raw = (
        f"worst {times[-1]:.1f} ms of {len(times)}; {matches} tasks contain the first, a page of {max(found)}"
    )
    title, bound = f"{store.name}: {name}, p50", SEARCH_MS_MAX.get(store.name)
    if bound is None:
        report.add(SECTION, Figure(title, median, "ms", "–", None, raw))
    else:
        report.add(SECTION, at_most(title, median, bound, unit="ms", raw=raw))


async def _ms(store: RecordStore, question: Question) -> float:
    began = time.perf_counter()
    await store.find(question)
    return (time.perf_counter() - began) * 1_000
