"""The tests in the templates are those of what they render."""

collect_ignore = ["src"]
