"""Which claims a process makes, one after the other."""
