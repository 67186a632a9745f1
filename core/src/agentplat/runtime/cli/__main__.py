"""`python -m agentplat.runtime.cli`: the same as `agentplat`."""

from agentplat.runtime.cli.main import main

main()
