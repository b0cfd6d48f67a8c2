"""The ports of the use cases: Protocols whose docstrings are promises."""
