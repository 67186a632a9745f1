"""Project and plugin templates of agentplat, and the commands `agentplat new` and `agentplat init`."""
