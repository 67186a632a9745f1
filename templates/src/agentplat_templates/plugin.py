"""What agentplat-templates offers to agentplat."""

API_LEVEL = 1
