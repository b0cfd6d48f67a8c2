"""The ceiling: an application that does nothing, on the same server as the service."""

import sys

import msgspec
import uvicorn
from litestar import Litestar, get, post
from litestar.params import JSONBody


class Body(msgspec.Struct):
    """A body of about the size of a task."""

    title: str
    description: str


@get("/thing")
async def read_thing() -> dict[str, str]:
    """Answers with 70 bytes."""
    return {"id": "65f1c0ffee65f1c0ffee65f1", "title": "Dig the pond, line it, fill it"}


@post("/thing")
async def make_thing(data: JSONBody[Body]) -> Body:
    """Answers with the body of the request."""
    return data


def main() -> None:
    """Serves on the given port."""
    app = Litestar([read_thing, make_thing], openapi_config=None, logging_config=None)
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
