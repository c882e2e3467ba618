"""One commit to the Hub, with what has changed and nothing else."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragoman import __version__
from dragoman.errors import InputError, PackageError
from dragoman_registry.addresses import HubAddress
from dragoman_registry.client import at_the_hub, endpoint, make_client
from dragoman_registry.remote import Identity, Snapshot, identity_of, identity_of_bytes, look_up

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

__all__ = ["Content", "Upload", "find", "refuse_links", "upload"]

#: What a file in the repository will hold: bytes, or those of a local file.
Content = bytes | Path


@dataclass(frozen=True)
class Upload:
    """How a commit is made.

    Attributes:
        private: whether a repository that is created is private; ``None`` for the Hub's own default.
        token: used instead of the one that the machine is logged in with.
        revision: branch; the default one when ``None``. It is created where it does not exist.
        commit_message: first line of the commit.
        commit_description: the rest.
        create_pr: offer the commit as a pull request.
    """

    private: bool | None = None
    token: str | None = None
    revision: str | None = None
    commit_message: str | None = None
    commit_description: str | None = None
    create_pr: bool = False


def find(repo: str, how: Upload) -> Snapshot | None:
    """The repository as it is, or ``None`` if there is none, or none that the token may see.

    Raises:
        PackageError: the Hub cannot be reached.
    """
    from huggingface_hub import errors

    try:
        return look_up(HubAddress(repo, how.revision or ""), how.token)
    except PackageError as error:
        if isinstance(error.__cause__, errors.RevisionNotFoundError):
            return look_up(HubAddress(repo), how.token)
        if isinstance(error.__cause__, errors.RepositoryNotFoundError):
            return None
        raise


def upload(
    repo: str, files: Mapping[str, Content], there: Snapshot | None, how: Upload, *, obsolete: tuple[str, ...] = ()
) -> tuple[str, str, tuple[str, ...]]:
    """Make one commit of the files that differ from what is there; none if nothing differs.

    Args:
        repo: ``NAMESPACE/NAME``, created if it does not exist.
        files: content by path.
        there: the repository as it is, from :func:`find`.
        how: see :class:`Upload`.
        obsolete: files to delete.

    Returns:
        The URL of the commit or pull request, the commit, and the paths that were sent.

    Raises:
        PackageError: the Hub refuses, cannot be reached, or the repository changed meanwhile.
    """
    present: Mapping[str, Identity] = there.files if there is not None else {}
    changed = {path: content for path, content in files.items() if not _is_there(present.get(path), content)}
    gone = [path for path in obsolete if path in present]
    if there is not None and not changed and not gone and (how.revision is None or _has_branch(repo, how)):
        return f"{endpoint()}/{repo}/commit/{there.commit}", there.commit, ()
    with at_the_hub(repo, sending=True):
        client = make_client(how.token)
        if there is None:
            client.create_repo(repo, private=how.private, exist_ok=True)
        if how.revision:
            client.create_branch(repo, branch=how.revision, exist_ok=True)
        info = _commit(client, repo, changed, gone, there, how)
    return info.pr_url or info.commit_url, info.oid, tuple(changed)


def refuse_links(folder: Path, paths: Mapping[str, object] | list[str]) -> None:
    """Raise if a file that is to be published is a symbolic link, or stands in a folder that is one.

    Raises:
        InputError: the sentence names the link.
    """
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            part = folder.joinpath(*parts[:depth])
            if part.is_symlink():
                raise InputError(
                    f"{part} is a symbolic link, and what it leads to would be published; put the file itself there."
                )


def _commit(
    client: Any, repo: str, changed: Mapping[str, Content], gone: list[str], there: Snapshot | None, how: Upload
) -> Any:
    from huggingface_hub import CommitOperationDelete

    with ExitStack() as stack, _quiet():
        additions = [_addition(path, content, stack) for path, content in changed.items()]
        return client.create_commit(
            repo,
            [*additions, *(CommitOperationDelete(path) for path in gone)],
            commit_message=how.commit_message or f"Publish with dragoman {__version__}",
            commit_description=how.commit_description,
            revision=how.revision,
            create_pr=how.create_pr,
            parent_commit=there.commit if there is not None and not how.revision else None,
        )


def _addition(path: str, content: Content, stack: ExitStack) -> CommitOperationAdd:
    from huggingface_hub import CommitOperationAdd

    # Open files go by LFS: the other way, xet, hands the storage's address that the server names to a library that
    # also writes into local folders.
    data = io.BytesIO(content) if isinstance(content, bytes) else stack.enter_context(content.open("rb"))
    return CommitOperationAdd(path, data)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the client's warning that open files go by LFS."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _has_branch(repo: str, how: Upload) -> bool:
    with at_the_hub(repo):
        return any(branch.name == how.revision for branch in make_client(how.token).list_repo_refs(repo).branches)


def _is_there(present: Identity | None, content: Content) -> bool:
    if present is None:
        return False
    mine = identity_of_bytes(content) if isinstance(content, bytes) else identity_of(content)
    if mine.size != present.size:
        return False
    return mine.sha256 == present.sha256 if present.sha256 else mine.blob == present.blob
