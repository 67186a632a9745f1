"""What the driver and every peer's adapter share. The standard library and psycopg only: peers bring their own world."""
