"""The rules of projects, tasks, schedules and their history. Standard library only; no clock, randomness or I/O."""
