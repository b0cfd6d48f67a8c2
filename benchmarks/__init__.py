"""Figures against ceilings measured in the same run: `make bench`. Never part of a test."""
