"""SQL: the same statements for PostgreSQL and SQLite wherever the two agree."""
