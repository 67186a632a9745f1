"""What agentplat-llm-openai offers to agentplat."""

API_LEVEL = 1
