"""REST interface, WebSocket and OpenAPI of agentplat."""
