"""Imports from other tools and exports to them."""
