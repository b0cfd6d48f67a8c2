"""The command line: the same words as the HTTP interface, for people and, with --json, for scripts."""
