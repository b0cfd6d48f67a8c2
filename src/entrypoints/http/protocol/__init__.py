"""The parts of the HTTP interface that all resources share."""
