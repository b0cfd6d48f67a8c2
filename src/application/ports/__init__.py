"""What the use cases need from outside, as Protocols whose docstrings are promises."""
