"""Alembic's environment: `env.py`, and the revisions in `versions/`."""
