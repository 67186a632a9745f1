"""Processes and wiring: settings, composition root, worker, keeper, sweeper, server and CLI."""
