"""What agentplat-llm-offline offers to agentplat."""

API_LEVEL = 1
