"""What the driver and every peer's adapter share. It needs the standard library and psycopg."""
