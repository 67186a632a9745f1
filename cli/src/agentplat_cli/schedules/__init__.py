"""Schedules: the commands, and the way to those of a server."""
