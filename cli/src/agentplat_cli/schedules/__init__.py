"""The commands of `agentplat schedules`."""
