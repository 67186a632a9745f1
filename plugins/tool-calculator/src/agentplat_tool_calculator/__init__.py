"""Tool that evaluates arithmetic safely."""
