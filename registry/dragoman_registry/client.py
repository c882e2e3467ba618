"""The Hub's client: made when it is needed, guarded, and with errors that are sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dragoman import __version__
from dragoman.access import current_access
from dragoman.errors import DragomanError, PackageError
from dragoman_registry.guard import guarded

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["at_the_hub", "cache_folder", "chosen_token", "endpoint", "is_missing", "is_unreachable", "make_client"]


def chosen_token(token: str | bool | None = None) -> str | bool | None:
    """A token, or that of :func:`dragoman.access.using`; ``None`` for the one that the machine is logged in with."""
    return current_access().token if token is None else token


def make_client(token: str | None = None) -> HfApi:
    """The Hub's client, for the endpoint and token that its own variables and files name.

    Args:
        token: used instead of the one that the machine is logged in with, or that of :func:`dragoman.access.using`.
    """
    from huggingface_hub import HfApi, constants

    # Given, since the client takes its default when it is imported.
    return HfApi(constants.ENDPOINT, token=chosen_token(token), library_name="dragoman", library_version=__version__)


def endpoint() -> str:
    """Address of the Hub, from HF_ENDPOINT."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def cache_folder() -> Path:
    """The Hub's own cache, from HF_HUB_CACHE or HF_HOME, or the one of :func:`dragoman.access.using`."""
    from huggingface_hub import constants

    return Path(current_access().cache_dir or constants.HF_HUB_CACHE)


@contextmanager
def at_the_hub(what: str, *, sending: bool = False) -> Iterator[None]:
    """Guard what is done at the Hub, and turn what goes wrong into a sentence.

    Args:
        what: address that this is about.
        sending: whether something is published, not fetched.

    Raises:
        PackageError: in place of every other error.
    """
    try:
        with guarded():
            yield
    except DragomanError:
        raise
    except Exception as error:
        raise PackageError(_sentence(what, error, sending)) from error


def is_missing(error: BaseException | None) -> bool:
    """Whether an error says that the Hub has no such repository or revision, or none that we may see."""
    from huggingface_hub import errors

    return isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError)


def is_unreachable(error: BaseException) -> bool:
    """Whether an error says that the Hub cannot be asked now: no network, a server that is down, or offline mode."""
    from huggingface_hub import errors

    unreachable = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError)
    if isinstance(error, unreachable):
        return True
    if isinstance(error, errors.HfHubHTTPError):
        return error.response is not None and error.response.status_code in (500, 502, 503, 504)
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)  # of whichever httpx it uses


def _sentence(what: str, error: Exception, sending: bool) -> str:
    from huggingface_hub import constants, errors

    hub, reason = constants.ENDPOINT, " ".join(str(error).split()) or type(error).__name__
    repo, _, revision = what.partition("@")
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated: accept its conditions on its page at {hub}, then run: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision {revision or 'main'!r} on the Hub; leave it out for the newest."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{hub} has no model {repo}, or not for you; check the name, or run: hf auth login"
    if is_unreachable(error):
        return _unreachable(what, hub, sending)
    if isinstance(error, errors.HfHubHTTPError):
        return _refusal(what, error, hub, reason)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{what} cannot be written to the cache {cache_folder()}: {error.strerror}."
    failed = "cannot be published at" if sending else "cannot be had from"
    return f"{what} {failed} {hub}: {reason.rstrip('.')}."


def _refusal(what: str, error: Exception, hub: str, reason: str) -> str:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", 0)
    if status in (401, 403):
        return f"{hub} does not let you do this with {what}; log in with a token that may: hf auth login"
    if status == 412:
        return f"{what} was changed at {hub} meanwhile; run the command again to go on from there."
    if status in (413, 507):
        return f"{hub} has no room for {what}; nothing was published."
    said = getattr(error, "server_message", None) or reason
    return f"{hub} refused {what}: {' '.join(str(said).split()).rstrip('.')[:500]}."


def _unreachable(what: str, hub: str, sending: bool) -> str:
    from huggingface_hub import constants

    why = f"{hub} cannot be reached; check the network"
    if constants.HF_HUB_OFFLINE:
        why = "HF_HUB_OFFLINE is set; unset it"
    elif current_access().local_files_only:
        why = "local_files_only is set; leave it out"
    if sending:
        return f"{what} was not published: {why} and run the command again."
    return f"{what} is not complete in the local cache, and {why} to download it."
