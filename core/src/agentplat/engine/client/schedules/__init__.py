"""Schedules: what may be set, when they fire, and what files say of them."""
