"""Where an endpoint is: its default address, or what an environment variable says instead. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

__all__ = ["base_url", "problem", "stays_on_machine"]

_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (what servers listen on; nobody can call it)


def base_url(default: str, variable: str, environ: Mapping[str, str]) -> str:
    """The address that the variable gives, without a trailing slash; what it leaves out comes from the default.

    So `OLLAMA_HOST=192.0.2.7` and `http://192.0.2.7:11434/v1` name the same endpoint. May be unusable: see `problem`.
    """
    given = environ.get(variable, "").strip()
    if not given:
        return default.rstrip("/")
    usual = urlsplit(default)
    whole = "://" in given  # then a missing port is the scheme's, and a missing host a mistake
    found = _split(given if whole else f"{usual.scheme}://{given}")
    if found is None or (whole and not found.hostname):
        return given
    host = found.hostname or usual.hostname or ""
    host = _EVERY_INTERFACE.get(host, host)
    port = found.port if whole else found.port or usual.port
    netloc = (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")
    user, at, _ = found.netloc.rpartition("@")  # kept, so that `problem` sees and refuses it
    return found._replace(netloc=user + at + netloc, path=found.path.rstrip("/") or usual.path).geturl()


def problem(url: str) -> str | None:
    """Why the address cannot be used, in words that do not repeat it; None when it can."""
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return "is not an http or https address"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "holds characters that no address has"
    if "@" in parts.netloc:
        return "holds a user name or password, which would end up in logs"
    if parts.query or parts.fragment:
        return "has a query or a fragment; it should end in the path before /chat/completions"
    return None


def stays_on_machine(url: str) -> bool:
    """True when the address is surely this machine's own."""
    parts = _split(url)
    host = (parts.hostname or "") if parts else ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises when it is no number)
    except ValueError:
        return None
    return parts
