"""Addresses that carry their own permission: what they are for and until when, signed with the server's key."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from dragoman_registry.hub.refusal import RequestError

__all__ = ["LIFETIME", "Signer", "signing_key"]

#: Seconds that a signature is good for.
LIFETIME = 6 * 3600


def signing_key(db: sqlite3.Connection) -> bytes:
    """The key of this Hub; made the first time, kept for good, so that a restart breaks no upload."""
    db.execute("INSERT OR IGNORE INTO meta VALUES ('signing key', ?)", (secrets.token_hex(32),))
    key: str = db.execute("SELECT value FROM meta WHERE key = 'signing key'").fetchone()[0]
    return bytes.fromhex(key)


class Signer:
    """Makes and checks signed claims, short enough for an address.

    Args:
        key: 32 bytes that nobody else knows.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, purpose: str, **claims: Any) -> str:
        """Claims as text; good for :data:`LIFETIME` seconds and for one purpose."""
        return self.sign_until(purpose, LIFETIME, **claims)[0]

    def sign_until(self, purpose: str, seconds: int, **claims: Any) -> tuple[str, int]:
        """Claims as text, and when they stop being good, in seconds since 1970."""
        until = int(time.time()) + seconds
        body = _encode(json.dumps({**claims, "until": until}).encode())
        return f"{body}.{_encode(self._mac(purpose, body))}", until

    def check(self, purpose: str, text: str) -> dict[str, Any]:
        """The claims of a signed text.

        Raises:
            RequestError: 403; it was signed by somebody else, for something else, or too long ago.
        """
        body, _, mac = text.partition(".")
        if not hmac.compare_digest(_encode(self._mac(purpose, body)).encode(), mac.encode("utf-8", "replace")):
            raise RequestError(403, "The address is not one that this server gave out.")
        claims: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=="))
        if claims["until"] < time.time():
            raise RequestError(403, "The address has expired; ask for another.")
        return claims

    def _mac(self, purpose: str, body: str) -> bytes:
        return hmac.digest(self._key, f"{purpose}\n{body}".encode("utf-8", "replace"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
