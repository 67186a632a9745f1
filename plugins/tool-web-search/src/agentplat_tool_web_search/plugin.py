"""What agentplat-tool-web-search offers to agentplat."""

API_LEVEL = 1
