"""Steps in a process of their own, with limits on what it may take from the machine."""
