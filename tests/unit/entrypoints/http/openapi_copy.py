"""Writes the committed copy of the OpenAPI document.

PYTHONPATH=src python -m tests.unit.entrypoints.http.openapi_copy
"""

import json
from pathlib import Path

from entrypoints.http.app import RESOURCES
from entrypoints.http.protocol.openapi import openapi_document

COPY = Path(__file__).parents[4] / "docs" / "reference" / "openapi.json"


def main() -> None:
    document = openapi_document(RESOURCES)
    COPY.parent.mkdir(parents=True, exist_ok=True)
    COPY.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
