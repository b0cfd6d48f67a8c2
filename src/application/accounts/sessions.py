"""Sessions: sign in, refresh and sign out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from application.actor import Actor
from application.ports.identifiers import Identifiers
from application.ports.sign_in import IdentityProvider, SignInFailed, SignInFailure
from application.ports.tokens import (
    AccessTokens,
    Identity,
    RefreshToken,
    RefreshTokens,
    ShownRefreshToken,
    TokenIssuer,
    TokenPair,
)
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.use_case import TimedUseCase
from domain.entity import Stamp
from domain.errors import AlreadyExists, Conflict, RuleBroken, Unauthenticated, VersionConflict
from domain.name import valid_name
from domain.permissions import Grant
from domain.session import ENDINGS, REUSED, SIGNED_OUT, USER_GONE, Session
from domain.user import FIRST_USER_ID, NAME_LENGTH_MAX, User, name_in, normal_email

SESSION_LIFETIME = timedelta(days=7)
RACES_MAX = 5
REQUESTS_AT_ONCE_MAX = 64
"""How many requests with tokens of one session may run at once: each loses at most one race to every other one."""
EXPIRED = f"This session has expired: it lasts {SESSION_LIFETIME.days} days from the sign-in. Sign in again."


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
        return await self._signed_in(actor, address, name or name_in(address))


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
            name = valid_name(person.name or "", longest=NAME_LENGTH_MAX) or name_in(address)
            return await self._signed_in(actor, address, name)
        except RuleBroken as error:
            raise SignInFailed(SignInFailure.IDENTITY, error.message) from error


@dataclass(frozen=True, slots=True)
class RefreshSession(TimedUseCase):
    """Exchanges a current refresh token of a session for new tokens, with the user's present grants.

    A token that was replaced within GRACE yields another successor. An older one ends the session, because it may have
    been stolen: its owner and a thief cannot be told apart.
    """

    tokens: AccessTokens
    refresh_tokens: RefreshTokens

    @retry_conflicts(retries_max=REQUESTS_AT_ONCE_MAX)
    async def __call__(self, actor: Actor, refresh_token: str) -> tuple[User, TokenPair]:
        shown, now = self.refresh_tokens.read(refresh_token), self.clock.now()
        work = self.begin(actor)
        session = await _open_session(work, shown, now)
        if not session.accepts(shown.hash, now):
            raise await self._end(work, session, because=REUSED)
        user = await work.users.find(session.user_id)
        if user is None or user.is_deleted:
            raise await self._end(work, session, because=USER_GONE)
        token = self.refresh_tokens.fresh(session.id)
        stamp = Stamp(now, user.id)
        renewed = session.refresh(stamp, shown_hash=shown.hash, token_hash=token.hash)
        work.sessions.save(renewed)
        await work.commit()
        return user, _pair(self.tokens, user, renewed, token)

    async def _end(self, work: UnitOfWork, session: Session, *, because: str) -> Unauthenticated:
        """Ends the session. Returns the error that says why."""
        self.tokens.refuse_session(session.id)
        work.sessions.save(session.end(Stamp(self.clock.now(), session.user_id), because=because))
        await work.commit()
        return Unauthenticated(ENDINGS[because])


@dataclass(frozen=True, slots=True)
class EndSession(TimedUseCase):
    """Signs out with either token of the session, expired or not. An ended session stays ended."""

    tokens: AccessTokens
    refresh_tokens: RefreshTokens

    @retry_conflicts(retries_max=REQUESTS_AT_ONCE_MAX)
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
            session = await work.sessions.find(shown.session_id)
            if session is None or not _was_issued(shown, session):
                raise _foreign()
            return session
        if access_token is None:
            raise Unauthenticated
        id = self.tokens.session_of(access_token)
        return None if id is None else await work.sessions.find(id)


async def _open_session(work: UnitOfWork, shown: ShownRefreshToken, now: datetime) -> Session:
    """The open session of a token. Raises Unauthenticated, with the reason only for a token that was issued here: it
    must not tell anybody else about the sessions of other people.
    """
    session = await work.sessions.find(shown.session_id)
    if session is None:
        raise Unauthenticated(EXPIRED) if shown.is_genuine else _foreign()
    if not _was_issued(shown, session):
        raise _foreign()
    if not session.is_open(now):
        raise Unauthenticated(ENDINGS.get(session.ended_because or "", EXPIRED))
    return session


def _was_issued(shown: ShownRefreshToken, session: Session) -> bool:
    """Whether the token belongs to the session. Only the session knows one that was made with an earlier key."""
    return shown.is_genuine or session.knows(shown.hash)


def _foreign() -> Unauthenticated:
    return Unauthenticated(
        "This refresh token was not issued here, or was issued with an earlier key; sign in again."
    )


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
