"""What agentplat-agent-research offers to agentplat."""

API_LEVEL = 1
