"""Model provider that needs no key and no network: it extracts sentences, it does not generate."""
