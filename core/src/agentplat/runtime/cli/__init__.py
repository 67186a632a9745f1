"""The command line: typer and rich, everything heavy imported when a command is called."""
