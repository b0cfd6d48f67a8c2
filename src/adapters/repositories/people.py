"""Users: their questions as criteria."""

from adapters.records.criteria import EVERYTHING, Equals, HasWords, Question
from adapters.records.record import IS_DELETED
from adapters.repositories.generic import StoredRepository
from application.paging import Page, PageRequest
from domain.user import User


class StoredUsers(StoredRepository[User]):
    """The port Users."""

    async def with_email(self, email: str) -> User | None:
        users = await self._all(Equals("email", email), Equals(IS_DELETED, False))  # noqa: FBT003 - a value
        return users[0] if users else None

    async def is_empty(self) -> bool:
        question = Question(collection=self._spec.collection, where=EVERYTHING, limit=1)
        return not await self._store.find(question)

    async def search(self, text: str, page: PageRequest) -> Page[User]:
        return await self._page([HasWords(text)] if text else [], page, deleted=False)
