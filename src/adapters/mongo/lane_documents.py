"""The lanes of this store, and what it has seen of the lanes of others: one document each.

A transaction that writes its own lane conflicts with one that closes the lane, and no two processes write the same
lane.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pymongo import ReturnDocument, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from adapters.mongo.client import MAJORITY, MongoConnection
from adapters.mongo.documents import Document
from adapters.mongo.errors import StaleVersion
from adapters.mongo.transactions import Transaction
from adapters.mongo.writes import LANES
from adapters.records.change_set import DeliveryMark
from adapters.records.document_filter import DOCUMENT_ID
from adapters.records.lanes import OWNERSHIP_ID, Admission, Lane, Positions, ProcessIdentity, Seen
from adapters.records.record import VERSION
from adapters.records.specs import CONTROL

SEEN = "seen"
BEATS = "beats"
"""When each process was last alive. Not noted in its lanes: a beat would wait for the transactions that hold them, and
they would conflict with it.
"""
BEATS_KEPT_SECONDS = 86_400
"""After this the server removes the beat of a process that has ended; then its lanes show when they were registered."""
CHECKPOINTED = "isCheckpointed"
"""Set on the documents of checkpointed lanes, and missing in the others."""


class MongoLanes:
    """LaneRows, and the lane methods of LanedStore."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    async def register(self, lane: int, admission: Admission) -> bool:
        """See LaneRows. It adds the lane first and reads the control record then, while a change of that is stored
        before the lanes are listed to be closed: so the one finds the other. Registrations do not conflict.
        """
        by = admission.by
        document = {
            "number": 0,
            "isOpen": True,
            "epoch": admission.epoch,
            "opening": admission.opening,
            "process": by.process,
            "host": by.host,
            "boot": by.boot,
            "pid": by.pid,
        }
        update = {"$setOnInsert": document, "$currentDate": {"registeredAt": True}}
        held = {DOCUMENT_ID: OWNERSHIP_ID, VERSION: admission.token}
        async with self._connection.call() as database:
            await database[LANES].update_one({DOCUMENT_ID: lane}, update, upsert=True)
            if await database[CONTROL.collection].find_one(held, {DOCUMENT_ID: True}) is not None:
                return True
        await self.close(lane)
        return False

    async def close(self, lane: int) -> int:
        """See LaneRows. It waits for, or ends, a transaction that holds the lane."""
        async with self._connection.call() as database:
            if (await database[LANES].delete_one({DOCUMENT_ID: lane, "number": 0})).deleted_count:
                return 0
            found = await database[LANES].find_one_and_update(
                {DOCUMENT_ID: lane}, {"$set": {"isOpen": False}}, return_document=ReturnDocument.AFTER
            )
        return 0 if found is None else int(found["number"])

    async def number_of(self, lane: int) -> int | None:
        """The number of an open lane; None for one that is closed or unknown."""
        async with self._connection.call() as database:
            found = await database[LANES].find_one({DOCUMENT_ID: lane, "isOpen": True})
        return None if found is None else int(found["number"])

    async def beat(self, process: str) -> None:
        """Notes that the process is alive, by the server's clock."""
        update = {"$currentDate": {"beatenAt": True}}
        async with self._connection.call() as database:
            await database[BEATS].update_one({DOCUMENT_ID: process}, update, upsert=True)

    async def prepare(self) -> None:
        """Creates the indexes by which `positions` finds what is not checkpointed, and the server removes old beats."""
        async with self._connection.call() as database:
            await database[BEATS].create_index("beatenAt", expireAfterSeconds=BEATS_KEPT_SECONDS)
            for name in (LANES, SEEN):
                await database[name].create_index(CHECKPOINTED)

    async def positions(self, *, with_checkpointed: bool) -> Positions:
        """See LanedStore. What was seen is read first, so that no lane is read before it is seen elsewhere."""
        where: Document = {} if with_checkpointed else {CHECKPOINTED: None}
        async with self._connection.call() as database:
            hello = await database.client.admin.command("hello")
            seen = [document async for document in database[SEEN].find(where, batch_size=10_000)]
            lanes = [document async for document in database[LANES].find(where, batch_size=10_000)]
            beats = [document async for document in database[BEATS].find({}, batch_size=10_000)]
        beaten_at = {document[DOCUMENT_ID]: document["beatenAt"] for document in beats}
        now = hello["localTime"].replace(tzinfo=UTC)
        return Positions(
            {
                document[DOCUMENT_ID]: _lane_of(document, beaten_at.get(document["process"]), now)
                for document in lanes
            },
            {document[DOCUMENT_ID]: _seen_of(document) for document in seen},
        )

    async def add_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> bool:
        """See LanedStore."""
        updates = [
            UpdateOne({DOCUMENT_ID: lane, "number": number, "isOpen": False}, {"$set": {CHECKPOINTED: True}})
            for lane, number in numbers.items()
        ]
        nobody = {"epoch": 0, "opening": "", "process": "", "host": "", "boot": "", "pid": 0}
        added = {"$set": {"number": 1, "isOpen": False, **nobody}, "$currentDate": {"registeredAt": True}}

        async def work(session: AsyncClientSession) -> None:
            if updates:
                closed = await database[LANES].bulk_write(updates, session=session)
                if closed.matched_count != len(updates):
                    raise StaleVersion
            await database[LANES].update_one({DOCUMENT_ID: checkpoint}, added, upsert=True, session=session)

        async with self._connection.call() as database:
            try:
                await Transaction(self._connection.sessions, MAJORITY).run(work)
            except StaleVersion:
                return False
        return True

    async def see_checkpoint(self, numbers: Mapping[int, int], *, checkpoint: int) -> None:
        """See LanedStore."""
        updates = [
            UpdateOne({DOCUMENT_ID: lane, "number": {"$lte": number}}, {"$set": {CHECKPOINTED: True}})
            for lane, number in numbers.items()
        ]
        updates.append(UpdateOne({DOCUMENT_ID: checkpoint}, {"$max": {"number": 1}}, upsert=True))

        async def work(session: AsyncClientSession) -> None:
            await database[SEEN].bulk_write(updates, session=session)

        async with self._connection.call() as database:
            await Transaction(self._connection.sessions, MAJORITY).run(work)

    async def cut(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""

        async def clear(session: AsyncClientSession) -> None:
            await database[SEEN].update_many(
                {CHECKPOINTED: True}, {"$unset": {CHECKPOINTED: ""}}, session=session
            )

        async with self._connection.call() as database:
            # The server retries updates of many documents only as a transaction.
            await Transaction(self._connection.sessions, MAJORITY).run(clear)
        await self._update({lane: {"$min": {"cut": number}} for lane, number in numbers.items()})

    async def lower(self, numbers: Mapping[int, int]) -> None:
        """See LanedStore."""
        await self._update({lane: {"$min": {"number": number}} for lane, number in numbers.items()})

    async def _update(self, updates: Mapping[int, Document]) -> None:
        if updates:
            async with self._connection.call() as database:
                await database[SEEN].bulk_write(
                    [UpdateOne({DOCUMENT_ID: lane}, update) for lane, update in updates.items()]
                )


async def raise_seen(
    database: AsyncDatabase[Document], seen: Mapping[int, int], session: AsyncClientSession
) -> None:
    """Notes what was seen of lanes, never above a cut, in the transaction that stores what they did."""
    if not seen:
        return
    updates = [
        UpdateOne({DOCUMENT_ID: lane}, _raised_to(number), upsert=True) for lane, number in seen.items()
    ]
    await database[SEEN].bulk_write(updates, session=session)
    is_cut = {DOCUMENT_ID: {"$in": list(seen)}, "cut": {"$exists": True}}
    for found in await database[SEEN].find(is_cut, session=session).to_list():
        lowered = {"$min": {"number": found["cut"]}}
        await database[SEEN].update_one({DOCUMENT_ID: found[DOCUMENT_ID]}, lowered, session=session)


async def accepted(
    database: AsyncDatabase[Document], marks: Sequence[DeliveryMark], session: AsyncClientSession
) -> list[DeliveryMark]:
    """The marks that are still valid; what they have seen is noted in the transaction that stores them."""
    numbers: dict[int, int] = {}
    for mark in marks:
        if mark.lane is not None and mark.number is not None:
            numbers[mark.lane] = max(numbers.get(mark.lane, 0), mark.number)
    cuts: dict[int, int] = {}
    for lane, number in sorted(numbers.items()):
        # Written in any case, so that it conflicts with a cut under way.
        found: Document | None = await database[SEEN].find_one_and_update(
            {DOCUMENT_ID: lane},
            _raised_to(number),
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        cut = (found or {}).get("cut")
        if cut is not None:
            cuts[lane] = cut
            await database[SEEN].update_one({DOCUMENT_ID: lane}, {"$min": {"number": cut}}, session=session)
    return [
        mark
        for mark in marks
        if mark.lane is None or mark.number is None or mark.number <= cuts.get(mark.lane, mark.number)
    ]


def _raised_to(number: int) -> Document:
    return {"$max": {"number": number}, "$unset": {CHECKPOINTED: ""}}


def _seen_of(document: Document) -> Seen:
    return Seen(document["number"], document.get("cut"), document.get(CHECKPOINTED, False))


def _lane_of(document: Document, beaten_at: datetime | None, now: datetime) -> Lane:
    registered_at = document["registeredAt"]
    shown_at = [registered_at] if beaten_at is None else [registered_at, beaten_at]
    # The newer one, unless it is from before the clock was set back.
    alive_at = min(shown_at, key=lambda at: abs(now - at))
    return Lane(
        lane=document[DOCUMENT_ID],
        number=document["number"],
        is_open=document["isOpen"],
        epoch=document["epoch"],
        opening=document["opening"],
        by=ProcessIdentity(document["process"], document["host"], document["boot"], document["pid"]),
        silent_seconds=(now - alive_at).total_seconds(),
        is_checkpointed=document.get(CHECKPOINTED, False),
    )
