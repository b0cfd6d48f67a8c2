"""Readers and writers for the file formats of other trackers."""
