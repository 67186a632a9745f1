"""What agentplat-interface-rest offers to agentplat."""

API_LEVEL = 1
