"""The project's folder: agents, tools and workflows that are files, beside those that are installed."""
