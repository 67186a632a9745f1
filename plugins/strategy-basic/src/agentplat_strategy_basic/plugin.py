"""What agentplat-strategy-basic offers to agentplat."""

API_LEVEL = 1
