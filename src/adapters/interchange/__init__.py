"""Formats of other trackers, read into Tandem's words and written from them."""
