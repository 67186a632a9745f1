"""JSON Schema of workflow files, for the completion and the checks of editors."""
