"""Contract suites, fakes and a real PostgreSQL for the tests of agentplat and its plugins."""
