"""Reads that another store than the owner may answer, as requests see it."""

from typing import Protocol

READ_AFTER_PATTERN = r"none|[0-9]{1,12}\.[0-9a-f]{0,16};(until=[0-9]{1,15}|[0-9a-f]{24}(,[0-9a-f]{24}){0,7})"
"""The tokens that callers send back; `none` from those who repeat tokens and have none."""


class RoutedRequest(Protocol):
    """One request under way."""

    @property
    def has_unconfirmed(self) -> bool:
        """Whether it has written something that the target has not confirmed."""
        ...


class ReadRouting(Protocol):
    """Tells the stores which request a read belongs to, and callers what their next reads need."""

    def enter(self) -> RoutedRequest:
        """Begins a request of this task. The owner answers its reads, until `route`."""
        ...

    def leave(self, request: RoutedRequest) -> None:
        """Ends it: what it has started and not awaited is answered by the owner."""
        ...

    async def route(self, request: RoutedRequest, caller_id: str, read_after: str | None) -> None:
        """Lets the target answer the reads of this caller, as far as the routes say. `read_after` is the token of the
        caller's earlier writes.

        Raises ValueError for a malformed token, and StoreUnavailable where the caller has written to an owner that this
        process does not know and cannot find.
        """
        ...

    def continue_from(self, caller_id: str, read_after: str) -> None:
        """A write comes with the token of the caller's earlier writes. Raises ValueError for a malformed one."""
        ...

    def note_replayed(self, caller_id: str, entry_id: str) -> None:
        """The request is answered with the result of an earlier one, which the target has not confirmed."""
        ...

    async def token_after(self, request: RoutedRequest, caller_id: str | None, *, is_echoing: bool) -> str:
        """The token with which the caller's next reads find what was written, whichever process answers.

        Returns once the other processes know of the write, unless the caller repeats tokens.
        """
        ...
