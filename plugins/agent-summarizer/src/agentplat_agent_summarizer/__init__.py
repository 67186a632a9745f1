"""Agent that summarizes a text."""
