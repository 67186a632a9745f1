"""Standard coordination strategies and convergence checks of agentplat."""
