"""What plugin authors implement, and what the engine needs from outside."""
