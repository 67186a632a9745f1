"""YAML to Workflow with diagnostics, and the expressions in it."""
