"""`agentplat doctor`: checks every promise of agentplat on a database, as it is now. Reads only."""
