"""The use cases behind every interface: submit, read, cancel, retry, administer."""
