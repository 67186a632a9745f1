"""What the store does, one function per transaction: each takes a Transaction and says what came of it."""
