"""The operations, one module per group; each has a `router` over a Client."""
