"""The tools, workflows and the strategy that the benchmarks let agentplat run."""
