"""`agentplat workflows simulate`: tasks on a clock of their own, for people."""
