"""The rules of projects, tasks, schedules and their history; standard library only, no clock, no randomness, no I/O."""
