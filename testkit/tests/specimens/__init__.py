"""Plugins on which the contract suites are tried: `good` keeps every contract, `bad` breaks one with each name."""
