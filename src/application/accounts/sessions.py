"""Sessions: signing in, refreshing, signing out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from application.actor import Actor
from application.ports.clock import Clock
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
from application.ports.unit_of_work import Begin, UnitOfWork
from application.retrying import retry_conflicts
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
class _SignIn:
    """What every way to sign in does once it knows the address: a new session, for a user found or made.

    The first user of an empty installation administers it. No session that was there before is ever taken up.
    """

    begin: Begin
    clock: Clock
    identifiers: Identifiers
    tokens: TokenIssuer
    refresh_tokens: RefreshTokens

    async def _signed_in(self, actor: Actor, address: str, name: str) -> tuple[User, TokenPair]:
        for _ in range(RACES_MAX):
            work = self.begin(actor)
            user = await work.users.with_email(address)
            if user is None:
                user = await self._newcomer(work, address, name)
                work.users.save(user)
            session, token = self._session_for(user)
            work.sessions.save(session)
            try:
                await work.commit()
            except (VersionConflict, AlreadyExists):
                continue
            return user, _pair(self.tokens, user, session, token)
        raise Conflict("Others are signing in at the same moment; try again.")

    async def _newcomer(self, work: UnitOfWork, address: str, name: str) -> User:
        is_first = await work.users.is_empty()
        # All who come first at once want this one id, so only one of them becomes the administrator.
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
    """Signs in whoever names an address. For development and test: it asks for no proof."""

    async def __call__(self, actor: Actor, email: str, name: str | None = None) -> tuple[User, TokenPair]:
        address = normal_email(email)
        return await self._signed_in(actor, address, name or _name_in(address))


@dataclass(frozen=True, slots=True)
class SignInWithProvider(_SignIn):
    """Signs in whom the identity provider vouches for. Raises SignInFailed, and then nothing was changed."""

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
class RefreshSession:
    """New tokens for the session's present refresh token, which thereby becomes an older one.

    What the user holds is read anew. An older token ends the session for everybody who has one: either its owner or
    a thief comes too late, and nobody can tell which. Of two who show the present token at once, one is too late too.
    """

    begin: Begin
    clock: Clock
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
            raise Unauthenticated("This refresh token does not count any more; sign in again.")
        user = (await work.users.get_many([session.user_id])).get(session.user_id)
        if user is None or user.is_deleted:
            await self._end(work, session, because=USER_GONE)
            raise Unauthenticated("This account does not exist any more.")
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
class EndSession:
    """Signs out. Either token of the session will do, expired or not; a session that is over already stays over."""

    begin: Begin
    clock: Clock
    tokens: AccessTokens
    refresh_tokens: RefreshTokens

    @retry_conflicts()
    async def __call__(self, actor: Actor, *, access_token: str | None, refresh_token: str | None) -> None:
        """Raises Unauthenticated where neither token is ours."""
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
        """The session that one of the tokens proves; None for a believed token without a stored session."""
        if refresh_token is not None:
            shown = self.refresh_tokens.read(refresh_token)
            session = (await work.sessions.get_many([shown.session_id])).get(shown.session_id)
            if session is None or not (shown.is_genuine or session.is_current(shown.hash)):
                raise Unauthenticated("This refresh token is not ours.")
            return session
        if access_token is None:
            raise Unauthenticated
        id = self.tokens.session_of(access_token)
        return None if id is None else (await work.sessions.get_many([id])).get(id)


@dataclass(frozen=True, slots=True)
class IssueAccessToken:
    """An access token for an existing user, without a session; from the machine that holds the keys only."""

    begin: Begin
    tokens: TokenIssuer

    async def __call__(self, actor: Actor, email: str) -> tuple[User, AccessToken]:
        """The user and the token. Raises NotFound where nobody has the address: nobody is made here."""
        user = await self.begin(actor).users.with_email(normal_email(email))
        if user is None:
            raise NotFound("Nobody has this address.")
        return user, self.tokens.issue(Identity(user.id, frozenset(user.grants)))


def _name_in(address: str) -> str:
    """Who has no name is called what stands before the @, as much of it as a name may have."""
    return address.partition("@")[0][:NAME_LENGTH_MAX]


async def _open_session(work: UnitOfWork, id: str, now: datetime) -> Session:
    session = (await work.sessions.get_many([id])).get(id)
    if session is None or not session.is_open(now):
        raise Unauthenticated("This session is over; sign in again.")
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
