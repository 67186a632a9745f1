"""Tool that evaluates arithmetic safely: exact where it can be, bounded always."""
