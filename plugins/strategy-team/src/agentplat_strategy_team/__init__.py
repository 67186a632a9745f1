"""Coordination strategies of agentplat for agents that work together: vote, debate, supervisor and others."""
