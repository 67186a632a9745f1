"""Agent that scores findings for coverage and grounding and names what is missing."""
