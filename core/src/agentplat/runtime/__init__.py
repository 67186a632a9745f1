"""Processes and wiring: the only place that names concrete classes."""
