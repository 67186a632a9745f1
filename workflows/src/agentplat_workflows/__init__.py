"""Stock workflows of agentplat, each with an expected history."""
