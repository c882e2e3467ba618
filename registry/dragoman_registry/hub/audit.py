"""Who changed what: one row for every change, in the transaction that makes it."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

__all__ = ["record"]


def record(db: sqlite3.Connection, user: str, action: str, subject: str, **detail: Any) -> None:
    """Add a row to the audit log.

    Args:
        db: the transaction of the change.
        user: who did it; the empty string is the command line of the server's machine.
        action: such as ``"commit"`` or ``"repository.delete"``.
        subject: what it was done to.
        **detail: what else is worth knowing; never a secret.
    """
    row = (time.time(), user, action, subject, json.dumps(detail, sort_keys=True))
    db.execute("INSERT INTO audit (time, user, action, subject, detail) VALUES (?, ?, ?, ?, ?)", row)
