"""What is looked at before any operation begins: which methods an address knows, and headers nobody would hear."""

from collections.abc import Iterator, Mapping
from typing import Any

from litestar import Request, Response
from litestar.enums import MediaType

from domain.errors import Invalid, Violation
from entrypoints.http.cross_site import SAFE_METHODS
from entrypoints.http.documentation import OPERATION, Documented
from entrypoints.http.exchange import exchange_of, header
from entrypoints.http.refusals import allow_header

KEYED_METHODS = frozenset({"POST", "PATCH"})
"""Where a key may change what happens; the other methods leave the same behind however often they are repeated."""

_CONDITION = Violation("/If-Match", "is not heard here: this changes no one version that you could mean")
_KEY = Violation("/Idempotency-Key", "is not heard here: sent again, this is carried out again")


async def before_operation(request: Request[Any, Any, Any]) -> Response[None] | None:
    """The answer to OPTIONS; None where the operation may begin.

    Raises Invalid where a header would not be heard: a condition must not be taken for one that held, nor a key for one
    that keeps a request from being carried out twice. Before that it raises whatever the caller's sign-in raises: who
    is nobody is told that first, as without the header.
    """
    if request.method == "OPTIONS":
        return _methods_told(request)
    if request.method not in SAFE_METHODS:
        _refuse_unheard(request.scope, request.method, request.route_handler.opt.get(OPERATION))
    return None


def _refuse_unheard(scope: Mapping[str, Any], method: str, operation: Documented | None) -> None:
    violations = list(_unheard(scope, method, operation))
    if not violations:
        return
    if operation is None or not operation.is_public:
        exchange_of(scope).authentication.actor(scope)
    names = " and ".join(violation.pointer.removeprefix("/") for violation in violations)
    raise Invalid(f"Leave out the header {names}.", violations=violations)


def _unheard(scope: Mapping[str, Any], method: str, operation: Documented | None) -> Iterator[Violation]:
    is_guarded = operation is not None and operation.is_guarded
    if not is_guarded and header(scope, b"if-match") is not None:
        yield _CONDITION
    is_repeatable = method not in KEYED_METHODS or (operation is not None and operation.is_repeatable)
    if not is_repeatable and header(scope, b"idempotency-key") is not None:
        yield _KEY


def _methods_told(request: Request[Any, Any, Any]) -> Response[None]:
    """Every method of the address. The framework's own answer knows those of the controller that came first."""
    template = exchange_of(request.scope).route(request.scope)
    methods = {
        method for route in request.app.routes if route.path_format == template for method in route.methods
    }
    return Response(
        None, status_code=204, headers={"Allow": allow_header(methods)}, media_type=MediaType.TEXT
    )
