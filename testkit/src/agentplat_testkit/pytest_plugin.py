"""The pytest plugin of agentplat-testkit: fixtures for suites that need a real database."""
