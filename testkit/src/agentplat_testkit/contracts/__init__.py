"""Contract suites: what holds for every plugin of a kind. Inherit one, and say which plugin is meant."""
