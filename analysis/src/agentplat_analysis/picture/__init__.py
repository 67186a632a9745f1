"""A workflow as a picture: Mermaid or SVG."""
