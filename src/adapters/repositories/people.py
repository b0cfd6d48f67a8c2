"""Repositories of users and their sessions: their questions as criteria."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from adapters.records.criteria import (
    EVERYTHING,
    AllOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    Question,
    Range,
)
from adapters.records.specs import API_TOKENS, SESSIONS, USERS
from adapters.repositories.generic import LIVE, StoredRepository
from application.paging import Page, PageRequest
from domain.api_token import ApiToken
from domain.session import Session
from domain.user import User


class StoredUsers(StoredRepository[User]):
    """The port Users."""

    spec = USERS

    async def with_email(self, email: str) -> User | None:
        users = await self._all(Equals("email", email), LIVE)
        return users[0] if users else None

    async def is_empty(self) -> bool:
        question = Question(collection=self.spec.collection, where=EVERYTHING, limit=1)
        return not await self._store.find(question)

    async def holding(self, grant: str) -> Sequence[User]:
        return await self._all(Holds("grants", grant), LIVE)

    async def search(self, text: str, page: PageRequest) -> Page[User]:
        return await self._page(list(_named(text)), page, deleted=False)


def _named(text: str) -> Iterator[Criterion]:
    """Criteria for words of a name, or for a complete address. Parts of addresses do not match, to prevent guesses."""
    query = text.strip()
    if "@" in query and not any(char.isspace() for char in query):
        # Beyond ASCII, two addresses can be equal in lower case.
        yield Equals("email", query.lower().removesuffix(".") if query.isascii() else query)
    elif query:
        yield HasWords(query)


class StoredSessions(StoredRepository[Session]):
    """The port Sessions."""

    spec = SESSIONS

    async def over_before(self, instant: datetime, page: PageRequest) -> Page[Session]:
        return await self._page([Range(field="expiresAt", below=instant)], page, deleted=False)


class StoredApiTokens(StoredRepository[ApiToken]):
    """The port ApiTokens."""

    spec = API_TOKENS

    async def count_of_user(self, user_id: str) -> int:
        where = AllOf((Equals("userId", user_id), LIVE))
        return await self._store.count(self.spec.collection, where)

    async def page_of_user(self, user_id: str, page: PageRequest) -> Page[ApiToken]:
        return await self._page([Equals("userId", user_id)], page, deleted=False)

    async def expired_before(self, instant: datetime, page: PageRequest) -> Page[ApiToken]:
        return await self._page([Range(field="expiresAt", below=instant)], page, deleted=False)
