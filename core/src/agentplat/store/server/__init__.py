"""What only PostgreSQL, a server that others reach as well, needs."""
