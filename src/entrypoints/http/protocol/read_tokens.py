"""The headers by which callers find their own writes, whichever store and process answers."""

from application.ports.read_routing import ReadRouting
from domain.errors import Invalid, Violation
from entrypoints.http.protocol.request import SAFE_METHODS, Request

READ_AFTER = b"tandem-read-after"
UNCONFIRMED = b"tandem-unconfirmed"


class RoutedReads:
    """One request, from the authentication of its caller on."""

    __slots__ = ("_entered", "_request", "_routing")

    def __init__(self, routing: ReadRouting, request: Request) -> None:
        self._routing = routing
        self._request = request
        self._entered = routing.enter()

    @property
    def has_unconfirmed(self) -> bool:
        """Whether the request has written something that the target has not confirmed."""
        return self._entered.has_unconfirmed

    async def route(self, caller_id: str) -> None:
        """Lets the target answer reads of the caller, or takes over what they say beside a write. Raises Invalid."""
        request = self._request
        given = request.header(READ_AFTER) if request.has_header(READ_AFTER) else None
        token = None if given is None else given.decode("latin-1").strip()
        try:
            if request.method in SAFE_METHODS:
                await self._routing.route(self._entered, caller_id, token)
            elif token is not None:
                self._routing.continue_from(caller_id, token)
        except ValueError:
            raise Invalid(
                "The header Tandem-Read-After is malformed.",
                violations=[
                    Violation("/Tandem-Read-After", "must be the last Tandem-Unconfirmed, or `none`")
                ],
            ) from None

    async def add_token(self) -> None:
        """Adds to the answer what the caller's next reads need."""
        request = self._request
        caller_id = None if request.identity is None else request.identity.user_id
        token = await self._routing.token_after(
            self._entered, caller_id, is_echoing=request.has_header(READ_AFTER)
        )
        request.token_headers = ((UNCONFIRMED, token.encode("ascii")),)

    def leave(self) -> None:
        """Ends the request; harmless for what it has started in the background."""
        self._routing.leave(self._entered)
