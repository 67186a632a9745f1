"""The plugin host: stevedore finds, pluggy calls, registries keep."""
