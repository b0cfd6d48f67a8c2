"""New signing keys, for commands."""

from adapters.auth.keys import KeyTexts, new_key_texts

__all__ = ["KeyTexts", "new_key_texts"]
