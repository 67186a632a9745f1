"""Agent that searches documents and composes findings with their sources."""
