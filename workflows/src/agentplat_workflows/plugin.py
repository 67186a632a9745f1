"""What agentplat-workflows offers to agentplat."""

API_LEVEL = 1
