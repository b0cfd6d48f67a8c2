"""Sessions: sign in, refresh and sign out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from application.actor import Actor
from application.ports.identifiers import Identifiers
from application.ports.sign_in import IdentityProvider, SignInFailed, SignInFailure
from application.ports.tokens import (
    AccessToken,
    AccessTokens,
    Identity,
    RefreshToken,
    RefreshTokens,
    TokenIssuer,
    TokenPair,
)
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.use_case import TimedUseCase, UseCase
from domain.entity import Stamp, derived_id
from domain.errors import AlreadyExists, Conflict, NotFound, RuleBroken, Unauthenticated, VersionConflict
from domain.name import valid_name
from domain.permissions import Grant
from domain.session import REUSED, SIGNED_OUT, USER_GONE, Session
from domain.user import NAME_LENGTH_MAX, User, normal_email

FIRST_USER_ID = derived_id("users", "first")
SESSION_LIFETIME = timedelta(days=7)
RACES_MAX = 5


@dataclass(frozen=True, slots=True)
class _SignIn(TimedUseCase):
    """Signs in a user by a proven address: always with a new session, and with a new account if there is none.

    The first user of an empty installation is its administrator.
    """

    identifiers: Identifiers
    tokens: TokenIssuer
    refresh_tokens: RefreshTokens

    async def _signed_in(self, actor: Actor, address: str, name: str) -> tuple[User, TokenPair]:
        for _ in range(RACES_MAX):
            work = self.begin(actor)
            user = await work.users.with_email(address)
            if user is None:
                user = await self._new_user(work, address, name)
                work.users.save(user)
            session, token = self._session_for(user)
            work.sessions.save(session)
            try:
                await work.commit()
            except (VersionConflict, AlreadyExists):
                continue
            return user, _pair(self.tokens, user, session, token)
        raise Conflict("Other users are signing in at the same time; try again.")

    async def _new_user(self, work: UnitOfWork, address: str, name: str) -> User:
        is_first = await work.users.is_empty()
        # Concurrent first users all get this id, so only one of them becomes the administrator.
        id = FIRST_USER_ID if is_first else self.identifiers.fresh()
        grants = (str(Grant.ADMIN),) if is_first else ()
        return User.create(id, Stamp(self.clock.now(), id), email=address, name=name, grants=grants)

    def _session_for(self, user: User) -> tuple[Session, RefreshToken]:
        id, now = self.identifiers.fresh(), self.clock.now()
        token = self.refresh_tokens.fresh(id)
        stamp, ends = Stamp(now, user.id), now + SESSION_LIFETIME
        return Session.create(id, stamp, user_id=user.id, token_hash=token.hash, expires_at=ends), token


@dataclass(frozen=True, slots=True)
class SignInByEmail(_SignIn):
    """Signs in the user with an address, without any proof. For development and test."""

    async def __call__(self, actor: Actor, email: str, name: str | None = None) -> tuple[User, TokenPair]:
        address = normal_email(email)
        return await self._signed_in(actor, address, name or _name_in(address))


@dataclass(frozen=True, slots=True)
class SignInWithProvider(_SignIn):
    """Signs in a user authenticated by the identity provider. Raises SignInFailed; then nothing has changed."""

    provider: IdentityProvider

    async def __call__(
        self, actor: Actor, *, ticket: str | None, state: str, code: str
    ) -> tuple[User, TokenPair]:
        person = await self.provider.finish(ticket=ticket, state=state, code=code)
        try:
            address = normal_email(person.email)
            name = valid_name(person.name or "", longest=NAME_LENGTH_MAX) or _name_in(address)
            return await self._signed_in(actor, address, name)
        except RuleBroken as error:
            raise SignInFailed(SignInFailure.IDENTITY, error.message) from error


@dataclass(frozen=True, slots=True)
class RefreshSession(TimedUseCase):
    """Exchanges the current refresh token of a session for new tokens, with the user's present grants.

    An older token ends the session, because it may have been stolen: its owner and a thief cannot be told apart. Of two
    concurrent requests with the current token, one counts as the older one.
    """

    tokens: AccessTokens
    refresh_tokens: RefreshTokens

    @retry_conflicts()
    async def __call__(self, actor: Actor, refresh_token: str) -> tuple[User, TokenPair]:
        shown = self.refresh_tokens.read(refresh_token)
        work = self.begin(actor)
        session = await _open_session(work, shown.session_id, self.clock.now())
        if not session.is_current(shown.hash):
            if shown.is_genuine:
                await self._end(work, session, because=REUSED)
            raise Unauthenticated("This refresh token has been revoked; sign in again.")
        user = (await work.users.get_many([session.user_id])).get(session.user_id)
        if user is None or user.is_deleted:
            await self._end(work, session, because=USER_GONE)
            raise Unauthenticated("This account no longer exists.")
        token = self.refresh_tokens.fresh(session.id)
        renewed = session.refresh(Stamp(self.clock.now(), user.id), token_hash=token.hash)
        work.sessions.save(renewed)
        await work.commit()
        return user, _pair(self.tokens, user, renewed, token)

    async def _end(self, work: UnitOfWork, session: Session, *, because: str) -> None:
        self.tokens.refuse_session(session.id)
        work.sessions.save(session.end(Stamp(self.clock.now(), session.user_id), because=because))
        await work.commit()


@dataclass(frozen=True, slots=True)
class EndSession(TimedUseCase):
    """Signs out with either token of the session, expired or not. An ended session stays ended."""

    tokens: AccessTokens
    refresh_tokens: RefreshTokens

    @retry_conflicts()
    async def __call__(self, actor: Actor, *, access_token: str | None, refresh_token: str | None) -> None:
        """Raises Unauthenticated if neither token was issued here."""
        work = self.begin(actor)
        session = await self._session(work, access_token, refresh_token)
        if session is None:
            return
        self.tokens.refuse_session(session.id)
        work.sessions.save(session.end(Stamp(self.clock.now(), session.user_id), because=SIGNED_OUT))
        await work.commit()

    async def _session(
        self, work: UnitOfWork, access_token: str | None, refresh_token: str | None
    ) -> Session | None:
        """The session of one of the tokens; None for a valid access token without a stored session."""
        if refresh_token is not None:
            shown = self.refresh_tokens.read(refresh_token)
            session = (await work.sessions.get_many([shown.session_id])).get(shown.session_id)
            if session is None or not (shown.is_genuine or session.is_current(shown.hash)):
                raise Unauthenticated("This refresh token was not issued here.")
            return session
        if access_token is None:
            raise Unauthenticated
        id = self.tokens.session_of(access_token)
        return None if id is None else (await work.sessions.get_many([id])).get(id)


@dataclass(frozen=True, slots=True)
class IssueAccessToken(UseCase):
    """Issues an access token to an existing user, without a session; only on the machine that holds the keys."""

    tokens: TokenIssuer

    async def __call__(self, actor: Actor, email: str) -> tuple[User, AccessToken]:
        """The user and the token. Raises NotFound if no user has the address."""
        user = await self.begin(actor).users.with_email(normal_email(email))
        if user is None:
            raise NotFound("No user has this e-mail address.")
        return user, self.tokens.issue(Identity(user.id, frozenset(user.grants)))


def _name_in(address: str) -> str:
    """A name for a user without one: the address before the @, shortened to the length of a name."""
    return address.partition("@")[0][:NAME_LENGTH_MAX]


async def _open_session(work: UnitOfWork, id: str, now: datetime) -> Session:
    session = (await work.sessions.get_many([id])).get(id)
    if session is None or not session.is_open(now):
        raise Unauthenticated("This session has ended; sign in again.")
    return session


def _pair(tokens: TokenIssuer, user: User, session: Session, token: RefreshToken) -> TokenPair:
    issued = tokens.issue(Identity(user.id, frozenset(user.grants), session.id))
    left = session.expires_at - session.updated_at
    return TokenPair(
        access_token=issued.access_token,
        expires_in_seconds=issued.expires_in_seconds,
        refresh_token=token.text,
        refresh_expires_in_seconds=int(left.total_seconds()),
        session_id=session.id,
    )
