"""Model provider for every endpoint that speaks the OpenAI chat protocol."""
