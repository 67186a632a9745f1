"""What agentplat-tool-calculator offers to agentplat."""

API_LEVEL = 1
