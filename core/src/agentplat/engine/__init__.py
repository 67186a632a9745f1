"""Use cases: submit, claim, run one task, journal, park, wake, cancel, retry."""
