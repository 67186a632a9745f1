"""What the checks know besides schemas: of which kind a value becomes, and what a strategy does first."""
