"""What can be said of a workflow before it runs: its bounds, its graph, and the JSON Schema of its document."""
