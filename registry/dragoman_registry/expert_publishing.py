"""Publishing the experts of a fusion that exist on this machine only, so that others can load it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dragoman.errors import InputError, PackageError
from dragoman.stores import locate
from dragoman_registry import patterns
from dragoman_registry.digest import digest_of_folder
from dragoman_registry.parts import Component
from dragoman_registry.patterns import is_hub_id, is_safe_path
from dragoman_registry.pulling import is_data
from dragoman_registry.stores import is_path
from dragoman_registry.uploading import Content, Upload, find, refuse_links, upload

__all__ = ["check_installed", "check_published", "is_local", "publish_experts"]


def is_local(part: Component) -> bool:
    """Whether a part is named by a folder of this machine."""
    return bool(part.repo) and is_path(part.repo) and not is_hub_id(part.repo)


def check_published(components: Mapping[str, Component], repo: str) -> None:
    """Raise if a part is local.

    Raises:
        InputError: the sentence names the part and offers to publish it.
    """
    for part in components.values():
        if is_local(part):
            namespace = repo.partition("/")[0]
            raise InputError(
                f"{part.name!r} exists on this machine only ({part.repo}), so nobody else could load {repo}; publish it"
                f" first with --with-experts {namespace}, which makes it {namespace}/{_name(part)}, or fuse with a"
                " published one."
            )


def check_installed(components: Mapping[str, Component]) -> None:
    """Raise if a part that comes with an installed plugin is no longer what the package was made with.

    A part with a commit cannot have changed, and one in a folder is compared when it is published.

    Raises:
        InputError: the sentence names the part.
    """
    for part in components.values():
        if not part.repo or part.revision or is_local(part):
            continue
        if digest_of_folder(locate(part.repo).folder / part.subfolder) != part.digest:
            raise InputError(
                f"{part.name!r} at {part.repo} is no longer what the package was made with, so it would load nowhere;"
                " install the version of its plugin that it was made with, or save the package again."
            )


def publish_experts(components: Mapping[str, Component], namespace: str, how: Upload) -> dict[str, Component]:
    """Publish every local part as ``NAMESPACE/NAME``, and refer to it there.

    The name is that of its folder. A repository that has these weights already is taken as it is.

    Raises:
        InputError: a folder is no longer what the package was made with, or holds links.
        PackageError: the repository exists and holds something else, or the Hub refuses.
    """
    return {role: _published(part, namespace, how) if is_local(part) else part for role, part in components.items()}


def _published(part: Component, namespace: str, how: Upload) -> Component:
    repo = f"{namespace}/{_name(part)}"
    if not is_hub_id(repo):
        raise InputError(f"{namespace!r} is no namespace of the Hub; give your user name there, or an organisation.")
    folder = locate(part.repo).folder / part.subfolder
    if digest_of_folder(folder) != part.digest:
        raise InputError(f"{folder} is no longer what the package was made with; save the package again.")
    files = _files(folder)
    there = find(repo, how)
    if there is not None and any(is_data(path) for path in there.files):
        same = all(path in there.files and there.files[path].fits(folder / path) for path in files)
        if not same:
            raise PackageError(
                f"{repo} exists and holds another model than {part.repo}; rename the folder, or publish it elsewhere."
            )
        commit = there.commit
    else:
        contents: dict[str, Content] = {path: folder / path for path in files} | {"README.md": _card(part, repo)}
        _, commit, _ = upload(repo, contents, there, replace(how, revision=None, create_pr=False))
    return replace(part, repo=repo, revision=commit, subfolder="")


def _files(folder: Path) -> list[str]:
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if not path.is_dir()]
    files = [path for path in paths if is_data(path)]
    bad = [path for path in files if not is_safe_path(path)]
    if bad:
        raise InputError(f"{folder / bad[0]} has a name that does not mean the same file everywhere; rename it.")
    refuse_links(folder, files)
    if not any(path.endswith(".safetensors") for path in files):
        raise InputError(f"{folder} holds no safetensors, and pickles are not published; convert the weights first.")
    return files


def _name(part: Component) -> str:
    name = re.sub(r"[^\w.-]+", "-", Path(part.repo).name, flags=re.ASCII).strip("-.")
    return name if re.fullmatch(patterns.NAME, name, re.ASCII) else part.name


def _card(part: Component, repo: str) -> bytes:
    matter = {"license": part.licence.lower(), "library_name": "dragoman", "tags": ["dragoman:expert", part.name]}
    front = "".join(f"{key}: {json.dumps(value)}\n" for key, value in matter.items())
    body = f"# {repo}\n\nA checkpoint of the expert `{part.name}`, which the plugin `{part.plugin}` offers.\n"
    return f"---\n{front}---\n\n{body}".encode()
