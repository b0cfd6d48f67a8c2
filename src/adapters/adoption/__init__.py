"""Adoption: turns the documents of another service of the usual public shape into records, and stores them."""
