"""How a request ends that is not served, in words that the stock client understands."""

from __future__ import annotations

from starlette.responses import JSONResponse

from dragoman.errors import DragomanError

__all__ = ["INVALID_TOKEN", "RequestError", "bad", "conflict", "forbidden", "no_entry", "no_repository", "no_revision"]

INVALID_TOKEN = "Invalid credentials in Authorization header"


class RequestError(DragomanError):
    """A request that is not served.

    Args:
        status: HTTP status.
        message: one sentence for the person at the other end.
        code: ``X-Error-Code``, by which the client chooses the class of its exception.
        headers: more headers of the answer.

    Attributes:
        extra: more fields of the answer.
    """

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}
        self.extra: dict[str, str] = {}

    def response(self) -> JSONResponse:
        """The answer: the sentence as JSON and, in one line of ASCII, as ``X-Error-Message``."""
        line = " ".join(self.message.split()).encode("ascii", "replace").decode()[:500]
        headers = {**self.headers, "X-Error-Message": line}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        return JSONResponse({"error": self.message, **self.extra}, self.status, headers)


def bad(message: str) -> RequestError:
    """400: the request makes no sense."""
    return RequestError(400, message)


def forbidden(message: str) -> RequestError:
    """403: the caller is known and may not."""
    return RequestError(403, message)


def conflict(message: str, **headers: str) -> RequestError:
    """409: it is there already."""
    return RequestError(409, message, headers=headers)


def no_repository(name: str, *, anonymous: bool) -> RequestError:
    """The answer for a repository that is missing or hidden; nothing in it tells which."""
    return RequestError(401 if anonymous else 404, f"There is no repository {name!r} that you can see.", "RepoNotFound")


def no_revision(revision: str) -> RequestError:
    """404: no branch, tag or commit has the name."""
    return RequestError(404, f"Invalid rev id: {revision!r}.", "RevisionNotFound")


def no_entry(path: str, commit: str) -> RequestError:
    """404: the commit, which the client remembers, has no such file."""
    return RequestError(404, f"There is no file {path!r} in this revision.", "EntryNotFound", {"X-Repo-Commit": commit})
