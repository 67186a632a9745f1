"""What agentplat-tool-document-search offers to agentplat."""

API_LEVEL = 1
