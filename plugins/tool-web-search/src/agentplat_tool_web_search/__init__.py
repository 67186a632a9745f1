"""Tool that searches the web through the Brave Search API."""
