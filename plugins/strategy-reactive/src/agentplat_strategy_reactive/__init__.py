"""The coordination strategy reactive of agentplat: steps that wait for facts on a blackboard."""
