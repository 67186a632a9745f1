"""What agentplat-migrations offers to agentplat."""

API_LEVEL = 1
