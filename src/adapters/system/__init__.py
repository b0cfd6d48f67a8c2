"""Time and identity of this machine."""
