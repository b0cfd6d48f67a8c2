"""A name that MongoDB refuses is no outage: waiting for the server would never end."""

import pytest
from pymongo.errors import InvalidName, OperationFailure

from adapters.mongo.errors import translated
from adapters.mongo.record_store import MongoRecordStore
from adapters.records.record_store import StoreRefused


@pytest.mark.parametrize(
    "error",
    [
        InvalidName("database names cannot contain the character '.'"),
        OperationFailure("Invalid namespace specified", 73, {"codeName": "InvalidNamespace"}),
        OperationFailure("db already exists with different case", 13_297, {"codeName": "DatabaseDifferCase"}),
    ],
)
def test_a_refused_name_is_a_refusal_that_names_the_setting(error: Exception) -> None:
    with pytest.raises(StoreRefused, match="Correct DB_NAME"), translated():
        raise error


@pytest.mark.parametrize("uri", ["mongodb://h:99999/", "mongodb://u:p%zz@h/"])
async def test_an_address_that_cannot_be_read_is_a_refusal_without_its_text(uri: str) -> None:
    store = MongoRecordStore(uri, "tandem")
    with pytest.raises(StoreRefused, match="check MONGODB_URI") as refused:
        await store.open()
    assert uri not in str(refused.value)
