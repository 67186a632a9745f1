"""The commands of agentplat for people at a terminal: run, tasks, workflows, demo."""
