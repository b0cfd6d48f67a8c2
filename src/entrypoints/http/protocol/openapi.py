"""Assembles the OpenAPI 3.1 document from the declarations of operations."""

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from typing import Any, get_type_hints

import msgspec

from application.ports.read_routing import READ_AFTER_PATTERN
from entrypoints.http.protocol.endpoint import KEYED_METHODS
from entrypoints.http.protocol.input import JSON_TYPE, MERGE_PATCH_TYPE
from entrypoints.http.protocol.operation import Operation
from entrypoints.http.protocol.problems import PROBLEM_TYPE, ProblemView, phrase
from entrypoints.http.protocol.resource import Resource, collections_of, documented_operations

INTERFACE_VERSION = "1"
"""The version of the interface, as in `/v1`; it is independent of the releases of the program."""

_REF = "#/components/schemas/{name}"
_BEARER = "bearer"
_COOKIE = "cookie"
_COOKIE_WORDS = (
    "Set by the sign-in with Google. Requests that change something must come from a page of this service and send the"
    " value of the cookie `__Host-tandem-csrf` in the header `X-CSRF-Token`; otherwise they are rejected with 403. Over"
    " plain HTTP, in development, the names have no prefix `__Host-`. A header Authorization takes precedence."
)
_UNGUARDED_WORDS = (
    "The operation does not target a single version: If-Match and If-None-Match are rejected with 400, even if"
    " `REQUIRE_IF_MATCH` is set."
)
_UNREPEATABLE_WORDS = "A repeated request is carried out again: Idempotency-Key is rejected with 400."

Json = dict[str, Any]


def openapi_document(resources: Iterable[Resource]) -> Json:
    """The document of all operations that have a summary."""
    resources = tuple(resources)
    operations = [
        (declared.path, declared.method.lower(), declared) for declared in documented_operations(resources)
    ]
    collections = collections_of(resources)
    types = _component_types([operation for *_, operation in operations])
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    for component in components.values():
        # Python before 3.13 keeps the indentation of docstrings.
        component["description"] = cleandoc(component.get("description", ""))
    paths: Json = {}
    for path, method, operation in operations:
        paths.setdefault(path, {})[method] = _operation(path, method, operation, collections)
    pages = {
        _page_name(view): _page_schema(view) for *_, operation in operations if (view := operation.page_of)
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem",
            "version": INTERFACE_VERSION,
            "summary": "Projects, tasks and schedules, mirrored to a second database.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": {path: dict(sorted(paths[path].items())) for path in sorted(paths)},
        "components": {
            "schemas": dict(sorted({**components, **pages}.items())),
            "securitySchemes": _SECURITY_SCHEMES,
            "headers": _HEADERS,
            "responses": {f"Problem{status}": _problem_response(status) for status in _PROBLEM_STATUSES},
        },
    }


def _component_types(operations: list[Operation]) -> list[type[msgspec.Struct]]:
    types: set[type[msgspec.Struct]] = {ProblemView}
    for operation in operations:
        types.update(kind for kind in (operation.view, operation.page_of, operation.body) if kind)
    return sorted(types, key=lambda kind: kind.__name__)


def _ref(kind: type[msgspec.Struct]) -> Json:
    return {"$ref": _REF.format(name=kind.__name__)}


def _page_name(view: type[msgspec.Struct]) -> str:
    return f"{view.__name__.removesuffix('View')}Page"


def _page_schema(view: type[msgspec.Struct]) -> Json:
    return {
        "type": "object",
        "title": _page_name(view),
        "properties": {
            "items": {"type": "array", "items": _ref(view)},
            "nextCursor": {"type": ["string", "null"], "description": "Null on the last page."},
            "total": {
                "type": "integer",
                "minimum": 0,
                "description": "Present only with `count=exact`.",
            },
        },
        "required": ["items", "nextCursor"],
        "additionalProperties": False,
    }


def _operation(path: str, method: str, operation: Operation, collections: frozenset[str]) -> Json:
    tag = path.removeprefix("/v1/").partition("/")[0] if path.startswith("/v1/") else "operation"
    described: Json = {
        "operationId": f"{method}{_words(path)}",
        "summary": operation.summary,
        "tags": [tag],
        "parameters": [
            *_path_parameters(path, collections),
            *_query_parameters(operation),
            *_header_parameters(operation, method),
        ],
        "responses": _responses(path, method, operation),
        "security": [] if operation.is_public else [{_BEARER: []}, {_COOKIE: []}],
    }
    if words := " ".join(filter(None, (operation.description, _unsupported_headers(method, operation)))):
        described["description"] = words
    if operation.body is not None or operation.file_types:
        described["requestBody"] = {
            "required": not operation.has_optional_body,
            "content": _contents(method, operation),
        }
    return described


def _unsupported_headers(method: str, operation: Operation) -> str:
    """A description of the headers that the operation rejects."""
    words = []
    if method != "get" and not operation.is_guarded:
        words.append(_UNGUARDED_WORDS)
    if method.upper() in KEYED_METHODS and not operation.is_repeatable:
        words.append(_UNREPEATABLE_WORDS)
    return " ".join(words)


def _words(path: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"\W+", path))


def _contents(method: str, operation: Operation) -> Json:
    if operation.file_types:
        return {media_type: {"schema": {"type": "string"}} for media_type in operation.file_types}
    schema = {"schema": _ref(operation.body)} if operation.body is not None else {}
    types = (JSON_TYPE, MERGE_PATCH_TYPE) if method == "patch" else (JSON_TYPE,)
    return dict.fromkeys(types, schema)


def _path_parameters(path: str, collections: frozenset[str]) -> Iterator[Json]:
    schemas = {**_PATH_SCHEMAS, "collection": {"type": "string", "enum": sorted(collections)}}
    for name in re.findall(r"\{(\w+)\}", path):
        yield {"name": name, "in": "path", "required": True, "schema": schemas[name]}


def _query_parameters(operation: Operation) -> Iterator[Json]:
    hints = get_type_hints(operation.query, include_extras=True)
    for field in msgspec.structs.fields(operation.query):
        (schema,), _ = msgspec.json.schema_components([hints[field.name]], ref_template=_REF)
        yield {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": _inlined(hints[field.name], schema, field),
        }


def _inlined(hint: Any, schema: Json, field: msgspec.structs.FieldInfo) -> Json:
    """The schema of a parameter, without null and with its enumeration inlined."""
    _, components = msgspec.json.schema_components([hint], ref_template=_REF)
    options = [option for option in schema.get("anyOf", [schema]) if option != {"type": "null"}]
    plain = options[0] if len(options) == 1 else {"anyOf": options}
    if "$ref" in plain:
        plain = dict(components[str(plain["$ref"]).rpartition("/")[2]])
    if "enum" in plain:
        plain = {**plain, "enum": [choice for choice in plain["enum"] if choice is not None]}
    if not field.required and field.default not in (None, msgspec.NODEFAULT):
        plain = {**plain, "default": field.default}
    return plain


def _header_parameters(operation: Operation, method: str) -> Iterator[Json]:
    names = []
    if operation.is_repeatable:
        names.append("Idempotency-Key")
    if operation.is_guarded or (operation.is_tagged and method == "get"):
        names += ["If-Match", "If-None-Match"]
    if not operation.is_public:
        names.append("Tandem-Read-After")
    for name in names:
        yield {"name": name, "in": "header", "required": False, **_REQUEST_HEADERS[name]}


def _responses(path: str, method: str, operation: Operation) -> Json:
    good: Json = {"description": phrase(operation.status), "headers": _response_headers(operation, method)}
    if operation.status not in (204, 302):
        good["content"] = {operation.media_type: {"schema": _answer_schema(operation)}}
    responses = {str(operation.status): good}
    if (
        operation.is_tagged
        and operation.status == 200
        and operation.body is None
        and not operation.is_guarded
    ):
        responses["304"] = {"description": phrase(304), "headers": {"ETag": _header("ETag")}}
    for status in sorted(_problem_statuses(path, method, operation)):
        responses[str(status)] = _problem_reference(status, operation)
    return responses


def _answer_schema(operation: Operation) -> Json:
    if operation.page_of is not None:
        return {"$ref": _REF.format(name=_page_name(operation.page_of))}
    return {"type": "string"} if operation.view is None else _ref(operation.view)


def _problem_statuses(path: str, method: str, operation: Operation) -> set[int]:
    if not path.startswith("/v1/"):
        return {500, 503}
    statuses = {400, 408, 414, 415, 429, 431, 500, 503, *operation.also}
    if not operation.is_public:
        # A change that is authenticated by a cookie is rejected if it comes from another site.
        statuses |= {401} if method == "get" else {401, 403}
    if "{" in path:
        statuses |= {404, 410}
    if operation.body is not None or operation.file_types:
        statuses |= {413, 422}
    if operation.is_repeatable:
        statuses |= {409, 422}
    if operation.is_tagged and method == "get":
        statuses.add(412)
    if operation.is_guarded:
        statuses |= {409, 412, 422, 428}
    return statuses


def _problem_reference(status: int, operation: Operation) -> Json:
    if status == 503 and operation.is_public and operation.view is not None:
        # Probes answer with their own view when the status is DOWN.
        problem = _problem_response(status)
        problem["content"][JSON_TYPE] = {"schema": _ref(operation.view)}
        del problem["headers"]["Retry-After"]
        return problem
    return {"$ref": f"#/components/responses/Problem{status}"}


def _problem_response(status: int) -> Json:
    headers = {"X-Request-ID": _header("X-Request-ID")}
    if status in (429, 503):
        headers["Retry-After"] = _header("Retry-After")
    if status == 401:
        headers["WWW-Authenticate"] = _header("WWW-Authenticate")
    content: Json = {PROBLEM_TYPE: {"schema": _ref(ProblemView)}}
    return {"description": phrase(status), "headers": headers, "content": content}


def _response_headers(operation: Operation, method: str) -> Json:
    names = ["X-Request-ID"]
    if operation.is_tagged or operation.status == 204:
        names.append("ETag")
    if operation.status in (201, 302):
        names.append("Location")
    if operation.is_repeatable:
        names.append("Idempotency-Replayed")
    if operation.page_of is not None:
        names.append("Link")
    if method != "get":
        names.append("Tandem-Unconfirmed")
    return {name: _header(name) for name in names}


def _header(name: str) -> Json:
    return {"$ref": f"#/components/headers/{name}"}


def _text_header(description: str, **schema: Any) -> Json:
    return {"description": description, "schema": {"type": "string", **schema}}


_HEADERS: Json = {
    "ETag": _text_header(
        "The version as a strong entity tag; that of a compressed response ends in `-gz`.", examples=['"3"']
    ),
    "Idempotency-Replayed": _text_header(
        "`true` if this repeats the answer to an earlier request.", enum=["true"]
    ),
    "Link": _text_header('The next page, with all query parameters: `<…>; rel="next"`.'),
    "Location": _text_header("The address of the new resource, or the target of the redirect."),
    "Retry-After": _text_header("The number of seconds to wait before the next attempt.", pattern="^[0-9]+$"),
    "Tandem-Unconfirmed": _text_header(
        "Your writes that the second store has not confirmed. Send the last one that you got as `Tandem-Read-After`.",
        maxLength=300,
        examples=["1.0f9a3c77;5f1e9b0c2d3a4b5c6d7e8f90", "1.0f9a3c77;until=1767225600000"],
    ),
    "WWW-Authenticate": _text_header("The authentication scheme."),
    "X-Request-ID": _text_header(
        "The id of this request in logs and audit entries.", pattern="^[A-Za-z0-9._-]{1,64}$"
    ),
}

_REQUEST_HEADERS: dict[str, Json] = {
    "Idempotency-Key": {
        "description": "A key of your choice. A request that is repeated with the same key is carried out once, and "
        "answered again at any later time. A request that is rejected or changes nothing leaves its key unused.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    "If-Match": _text_header('The ETag of the version to change, such as `"3"`; `*` allows any version.'),
    "If-None-Match": _text_header(
        "The ETag of the version you have: if it is current, a GET is answered with 304, a change with 412."
    ),
    "Tandem-Read-After": _text_header(
        "The last `Tandem-Unconfirmed` that you got, or `none`: you read your own writes, whichever store answers. "
        "Without it, too, but a response to a write may take 0.1 s longer while a second store answers reads.",
        maxLength=300,
        pattern=f"^({READ_AFTER_PATTERN})$",
    ),
}

_PROBLEM_STATUSES = (400, 401, 403, 404, 408, 409, 410, 412, 413, 414, 415, 422, 428, 429, 431, 500, 503)

_SECURITY_SCHEMES: Json = {
    _BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `accessToken` from a sign-in; in development from `POST /v1/auth/dev/token`.",
    },
    _COOKIE: {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-tandem-access",
        "description": _COOKIE_WORDS,
    },
}

_ID_SCHEMA: Json = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
_PATH_SCHEMAS: dict[str, Json] = {
    "id": _ID_SCHEMA,
    "user_id": _ID_SCHEMA,
    "role_id": _ID_SCHEMA,
    "record": {"type": "string", "minLength": 1, "maxLength": 300},
    "version": {"type": "integer", "minimum": 1},
}
