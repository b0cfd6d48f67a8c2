"""Logging, access log and metrics of the process."""
