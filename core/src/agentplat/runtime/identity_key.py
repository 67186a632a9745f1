"""The key with which users' e-mails are hashed: set, or made once and kept beside an SQLite database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from agentplat.domain.errors import SettingsInvalid
from agentplat.runtime.settings import Settings

KEY_FILE = "identity.key"


def identity_key(settings: Settings) -> bytes | None:
    """The key; None when the hash takes none. SettingsInvalid where it must be set and is not."""
    if settings.identity.hash == "sha256":
        return None
    if settings.identity.key is not None:
        return settings.identity.key.get_secret_value().encode()
    if settings.sqlite_file is None:
        raise SettingsInvalid(
            "On PostgreSQL the key of users' hashes must be set, and be the same for every process: "
            "AGENTPLAT_IDENTITY__KEY, 16 characters or more. Keep it: with another key, users are other users."
        )
    return _kept(settings.sqlite_file.parent / KEY_FILE)


def _kept(file: Path) -> bytes:
    if not file.exists():
        _make(file)
    key = file.read_bytes().strip()
    if len(key) < 16:
        raise SettingsInvalid(f"{file} holds no key of 16 characters or more. Restore it from a backup.")
    return key


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(secrets.token_hex(32))
        out.flush()
        os.fsync(out.fileno())
    try:
        # Of several processes that start at once one wins, whole: a link, unlike a rename, replaces nothing.
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
