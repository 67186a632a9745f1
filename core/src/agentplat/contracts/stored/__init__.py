"""What a database keeps besides tasks and their journals, and how it is asked for it."""
