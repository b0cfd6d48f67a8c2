"""Old documents are stored in today's form when the store opens: nobody else has the directory then.

So questions, indexes and MontyDB's matcher never meet another form. Versions stay: nothing has happened to the records.
A crash in between leaves the rest to the next opening.
"""

from typing import Any

from adapters.monty.document import decoded, encoded, key_of, object_key_of
from adapters.monty.document_keepers import DocumentKeeper, StoredDocument
from adapters.records.record import ID, Record
from adapters.records.specs import RecordSpec

_UNDER_OBJECT_ID = b"\x07_id\x00"
_ID_AT = slice(4, 9)
"""BSON writers put `_id` first: its kind and its name follow the document's length."""


class OldDocuments:
    """Reads the documents of one collection, and remembers those that are to be stored anew."""

    def __init__(self, keeper: DocumentKeeper, spec: RecordSpec[Any]) -> None:
        self._keeper = keeper
        self._spec = spec
        self._successors: list[StoredDocument] = []
        self._old_keys: list[bytes] = []

    def read(self, data: bytes) -> Record | None:
        """The record of a document in today's form; None where the same one lies under its id as text, which counts."""
        stored = decoded(data)
        record = self._spec.upgraded(stored)
        is_under_object_id = data[_ID_AT] == _UNDER_OBJECT_ID
        if is_under_object_id:
            self._old_keys.append(object_key_of(record[ID]))
            if any(self._keeper.documents(self._spec.collection, [key_of(record[ID])])):
                return None
        if is_under_object_id or record is not stored:
            self._successors.append(
                StoredDocument(self._spec.collection, key_of(record[ID]), encoded(record))
            )
        return record

    def store(self) -> None:
        """Stores what was old in its new form, and only then removes what lay under ObjectIds."""
        if self._successors:
            self._keeper.write(self._successors)
        if self._old_keys:
            self._keeper.remove(self._spec.collection, self._old_keys)
