"""Coordination strategies of agentplat for steps that branch and join: parallel, dag, map_reduce, router."""
