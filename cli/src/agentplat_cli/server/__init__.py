"""The way to what a running server has, beside its tasks."""
