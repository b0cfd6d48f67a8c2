"""The HTTP interface: reads requests, calls use cases, answers with views."""
