"""What agentplat-agent-assessment offers to agentplat."""

API_LEVEL = 1
