"""Random tasks of real strategies: how workflows are drawn, lived, and searched for what breaks a law."""
