"""What agentplat-agent-summarizer offers to agentplat."""

API_LEVEL = 1
