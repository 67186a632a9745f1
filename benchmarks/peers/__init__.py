"""One adapter per peer. Each runs in the peer's own environment: `python -m peers.NAME W1 --n 1000`."""
