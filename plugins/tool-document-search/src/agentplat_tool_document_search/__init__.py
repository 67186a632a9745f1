"""Tool that searches a folder of documents by ranked full text."""
