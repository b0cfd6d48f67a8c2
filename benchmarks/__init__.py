"""Measurements, compared with ceilings from the same run: `make bench`. Not part of the tests."""
