"""Which specs the collections of a document store were made from."""

import hashlib

from adapters.records.specs import ALL_SPECS

REVISION_ID = "schema"
"""The control record in which a document store keeps the digest of the specs."""


def expected_digest() -> str:
    """The digest of everything in the specs that a document store depends on: twelve hex digits."""
    relevant = [
        (spec.collection, spec.fields, spec.unique_keys, spec.indexes, spec.text_fields) for spec in ALL_SPECS
    ]
    return hashlib.sha256(repr(relevant).encode()).hexdigest()[:12]
