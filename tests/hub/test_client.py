"""The stock client, with xet as it is installed, against the server."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    ModelCard,
)
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from safetensors.numpy import save

from dragoman_registry.hub.serving import Running


def test_who_am_i(alice: HfApi) -> None:
    me = alice.whoami()
    assert me["name"] == "alice"
    assert me["auth"]["accessToken"]["role"] == "write"


def test_unknown_token(hub: Running, ask: Callable[..., Any]) -> None:
    stranger = HfApi(endpoint=hub.url, token="hf_unknown")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        stranger.whoami()
    assert ask("GET", "/api/models", api=stranger).status == 401


def test_a_repository_is_made_once(alice: HfApi, repo: str) -> None:
    with pytest.raises(HfHubHTTPError, match="409"):
        alice.create_repo(repo)
    with pytest.raises(HfHubHTTPError, match="409"):
        alice.create_repo(repo.upper().replace("ALICE/", "alice/"))
    assert alice.create_repo(repo, exist_ok=True).repo_id == repo


def test_small_and_large_files_come_back(alice: HfApi, repo: str, cache: Path) -> None:
    contents = {"config.json": b'{"a": 1}', "model.safetensors": os.urandom(2_500_000), "deep/er/empty.txt": b""}
    operations = [CommitOperationAdd(path, content) for path, content in contents.items()]
    commit = alice.create_commit(repo, operations, commit_message="all", commit_description="at once")
    folder = Path(alice.snapshot_download(repo, cache_dir=cache))
    assert folder.name == commit.oid
    assert {path: (folder / path).read_bytes() for path in contents} == contents
    first, second = alice.list_repo_commits(repo)
    assert (first.commit_id, first.title, first.message) == (commit.oid, "all", "at once")
    assert second.title == "initial commit"


def test_a_file_object_goes_by_lfs(alice: HfApi, repo: str, cache: Path) -> None:
    content = os.urandom(3_000_000)
    alice.upload_file(path_or_fileobj=io.BytesIO(content), path_in_repo="model.bin", repo_id=repo)
    assert Path(alice.hf_hub_download(repo, "model.bin", cache_dir=cache)).read_bytes() == content


def test_a_folder_is_uploaded_and_changed(alice: HfApi, repo: str, tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(os.urandom(1_500_000))
    (folder / "sub/a.txt").write_text("a")
    alice.upload_folder(repo_id=repo, folder_path=folder)
    changed = bytearray((folder / "model.safetensors").read_bytes())
    changed[1_000_000:1_000_003] = b"new"
    (folder / "model.safetensors").write_bytes(changed)
    (folder / "sub/a.txt").unlink()
    alice.upload_folder(repo_id=repo, folder_path=folder, delete_patterns="sub/*")
    assert alice.list_repo_files(repo) == ["model.safetensors"]
    got = Path(alice.hf_hub_download(repo, "model.safetensors", cache_dir=cache))
    assert got.read_bytes() == changed


def test_nothing_changes_when_nothing_changed(alice: HfApi, repo: str) -> None:
    operations = [CommitOperationAdd("a.json", b"{}"), CommitOperationAdd("b.bin", os.urandom(99_999))]
    first = alice.create_commit(repo, operations, commit_message="1")
    again = [CommitOperationAdd("a.json", b"{}"), CommitOperationAdd("b.bin", operations[1].path_or_fileobj)]
    assert alice.create_commit(repo, again, commit_message="2").oid == first.oid


def test_add_delete_and_copy_in_one_commit(alice: HfApi, repo: str, cache: Path) -> None:
    alice.create_commit(
        repo,
        [CommitOperationAdd("old.bin", b"\0" * 70_000), CommitOperationAdd("dir/gone.txt", b"x")],
        commit_message="1",
    )
    alice.create_commit(
        repo,
        [
            CommitOperationCopy("old.bin", "copy.bin"),
            CommitOperationDelete("old.bin"),
            CommitOperationDelete("dir/"),
            CommitOperationAdd("new.txt", b"n"),
        ],
        commit_message="2",
    )
    assert alice.list_repo_files(repo) == ["copy.bin", "new.txt"]
    assert Path(alice.hf_hub_download(repo, "copy.bin", cache_dir=cache)).read_bytes() == b"\0" * 70_000


def test_a_commit_for_an_old_head_is_refused(alice: HfApi, repo: str) -> None:
    old = alice.model_info(repo).sha
    alice.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
    with pytest.raises(HfHubHTTPError, match="412"):
        alice.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id=repo, parent_commit=old)


def test_model_info(alice: HfApi, repo: str) -> None:
    weights = save({"w": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float16)})
    card = (
        "---\nlicense: mit\nlibrary_name: dragoman\npipeline_tag: text-to-image\ntags: [fusion]\nbase_model: a/b\n---\n"
    )
    operations = [CommitOperationAdd("model.safetensors", weights), CommitOperationAdd("README.md", card.encode())]
    alice.create_commit(repo, operations, commit_message="m")
    info = alice.model_info(repo, files_metadata=True)
    assert info.safetensors is not None
    assert (info.safetensors.parameters, info.safetensors.total) == ({"F32": 12, "F16": 5}, 17)
    assert {"fusion", "license:mit", "base_model:a/b", "safetensors"} <= set(info.tags or ())
    assert (info.pipeline_tag, info.library_name, info.private) == ("text-to-image", "dragoman", False)
    assert info.card_data is not None
    assert info.card_data.license == "mit"
    files = {entry.rfilename: entry for entry in info.siblings or ()}
    assert files["model.safetensors"].lfs is not None
    assert files["model.safetensors"].lfs.sha256 == hashlib.sha256(weights).hexdigest()
    assert files["README.md"].size == len(card)
    metadata = alice.get_safetensors_metadata(repo)
    assert metadata.parameter_count == {"F32": 12, "F16": 5}


def test_git_computes_the_same_ids(alice: HfApi, repo: str) -> None:
    # Written out by `git hash-object` for b"hello\n".
    alice.upload_file(path_or_fileobj=b"hello\n", path_in_repo="a/hello.txt", repo_id=repo)
    (entry,) = alice.get_paths_info(repo, ["a/hello.txt"])
    assert isinstance(entry, RepoFile)
    assert entry.blob_id == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_trees_and_paths(alice: HfApi, repo: str) -> None:
    paths = ["a/b/c.txt", "a/d.txt", "e.txt", "ü/日本.txt"]
    alice.create_commit(repo, [CommitOperationAdd(path, path.encode()) for path in paths], commit_message="t")
    assert sorted(entry.path for entry in alice.list_repo_tree(repo)) == ["a", "e.txt", "ü"]
    assert sorted(entry.path for entry in alice.list_repo_tree(repo, "a")) == ["a/b", "a/d.txt"]
    deep = {entry.path for entry in alice.list_repo_tree(repo, recursive=True, expand=True)}
    assert deep == {*paths, "a", "a/b", "ü"}
    known = alice.get_paths_info(repo, ["a/b", "e.txt", "missing", "ü/日本.txt"])
    assert [entry.path for entry in known] == ["a/b", "e.txt", "ü/日本.txt"]
    with pytest.raises(RemoteEntryNotFoundError):
        list(alice.list_repo_tree(repo, "nowhere"))


def test_the_last_commit_of_each_path(alice: HfApi, repo: str) -> None:
    first = alice.upload_file(path_or_fileobj=b"1", path_in_repo="a/1.txt", repo_id=repo)
    second = alice.upload_file(path_or_fileobj=b"2", path_in_repo="b/2.txt", repo_id=repo)
    entries = alice.list_repo_tree(repo, recursive=True, expand=True)
    last = {entry.path: entry.last_commit.oid for entry in entries if entry.last_commit}
    assert last == {"a": first.oid, "a/1.txt": first.oid, "b": second.oid, "b/2.txt": second.oid}


def test_long_trees_are_paged(alice: HfApi, repo: str) -> None:
    paths = [f"{number:04d}.txt" for number in range(1100)]
    alice.create_commit(repo, [CommitOperationAdd(path, b"") for path in paths], commit_message="many")
    assert [entry.path for entry in alice.list_repo_tree(repo)] == paths


def test_branches_with_a_slash(alice: HfApi, repo: str, cache: Path) -> None:
    alice.create_branch(repo, branch="feature/x")
    alice.upload_file(path_or_fileobj=b"there", path_in_repo="a.txt", repo_id=repo, revision="feature/x")
    assert alice.list_repo_files(repo) == []
    got = alice.hf_hub_download(repo, "a.txt", revision="feature/x", cache_dir=cache)
    assert Path(got).read_text() == "there"
    with pytest.raises(HfHubHTTPError, match="409"):
        alice.create_branch(repo, branch="feature/x")
    alice.delete_branch(repo, branch="feature/x")
    assert [branch.name for branch in alice.list_repo_refs(repo).branches] == ["main"]
    with pytest.raises(RevisionNotFoundError):
        alice.hf_hub_download(repo, "a.txt", revision="feature/x", cache_dir=cache)


def test_a_tag_is_never_moved(alice: HfApi, repo: str) -> None:
    alice.create_tag(repo, tag="v1", tag_message="first")
    tagged = alice.model_info(repo, revision="v1").sha
    alice.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
    assert alice.model_info(repo, revision="v1").sha == tagged
    with pytest.raises(HfHubHTTPError, match="409"):
        alice.create_tag(repo, tag="v1")
    alice.delete_tag(repo, tag="v1")
    with pytest.raises(HfHubHTTPError, match="409"):
        alice.create_tag(repo, tag="v1")
    alice.create_tag(repo, tag="v1", revision=tagged)
    assert [tag.target_commit for tag in alice.list_repo_refs(repo).tags] == [tagged]
    with pytest.raises(HfHubHTTPError):
        alice.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id=repo, revision="v1")


def test_a_commit_id_pins(alice: HfApi, repo: str, cache: Path) -> None:
    first = alice.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
    alice.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id=repo)
    got = alice.hf_hub_download(repo, "a.txt", revision=first.oid, cache_dir=cache)
    assert Path(got).read_text() == "1"


def test_a_pull_request(alice: HfApi, repo: str, cache: Path) -> None:
    made = alice.create_commit(repo, [CommitOperationAdd("a.txt", b"1")], commit_message="pr", create_pr=True)
    assert made.pr_num == 1
    assert alice.list_repo_files(repo) == []
    assert alice.list_repo_files(repo, revision="refs/pr/1") == ["a.txt"]
    requests = alice.list_repo_refs(repo, include_pull_requests=True).pull_requests
    assert [request.ref for request in requests or ()] == ["refs/pr/1"]


def test_what_is_not_found(alice: HfApi, repo: str, cache: Path) -> None:
    with pytest.raises(RepositoryNotFoundError):
        alice.hf_hub_download("alice/none", "a.txt", cache_dir=cache)
    with pytest.raises(RevisionNotFoundError):
        alice.hf_hub_download(repo, "a.txt", revision="none", cache_dir=cache)
    with pytest.raises(RemoteEntryNotFoundError):
        alice.hf_hub_download(repo, "a.txt", cache_dir=cache)


def test_a_broken_card_is_refused(alice: HfApi, repo: str) -> None:
    with pytest.raises((BadRequestError, ValueError), match=r"YAML|yaml|mapping|expected"):
        alice.upload_file(path_or_fileobj=b"---\na: [\n---\n", path_in_repo="README.md", repo_id=repo)
    bombs = b"---\n" + b"\n".join([b"a: &a [x,x]", b"b: &b [*a,*a]"]) + b"\n---\n"
    with pytest.raises((BadRequestError, ValueError), match="alias"):
        alice.upload_file(path_or_fileobj=bombs, path_in_repo="README.md", repo_id=repo)


def test_file_system_reads_ranges(hub: Running, alice: HfApi, repo: str) -> None:
    content = os.urandom(200_000)
    alice.upload_file(path_or_fileobj=content, path_in_repo="sub/model.safetensors", repo_id=repo)
    files = HfFileSystem(endpoint=hub.url, token=alice.token, skip_instance_cache=True)
    assert files.find(repo) == [f"{repo}/sub/model.safetensors"]
    with files.open(f"{repo}/sub/model.safetensors", block_size=1000) as file:
        file.seek(123_456)
        assert file.read(789) == content[123_456:124_245]
    assert files.cat_file(f"{repo}/sub/model.safetensors", start=10, end=20) == content[10:20]
    assert files.info(f"{repo}/sub/model.safetensors")["size"] == len(content)


def test_move_squash_and_delete(alice: HfApi, repo: str) -> None:
    alice.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
    alice.super_squash_history(repo)
    assert len(alice.list_repo_commits(repo)) == 1
    assert alice.list_repo_files(repo) == ["a.txt"]
    moved = f"{repo}moved"
    alice.move_repo(repo, moved)
    assert not alice.repo_exists(repo)
    assert alice.list_repo_files(moved) == ["a.txt"]
    alice.delete_repo(moved)
    assert not alice.repo_exists(moved)


def test_datasets_and_spaces(alice: HfApi, cache: Path) -> None:
    for kind in ("dataset", "space"):
        repo = alice.create_repo("alice/kinds", repo_type=kind, space_sdk="static" if kind == "space" else None).repo_id
        alice.upload_file(path_or_fileobj=os.urandom(2_000_000), path_in_repo="a.bin", repo_id=repo, repo_type=kind)
        got = alice.hf_hub_download(repo, "a.bin", repo_type=kind, cache_dir=cache)
        assert Path(got).stat().st_size == 2_000_000
    assert [entry.id for entry in alice.list_datasets(author="alice")] == ["alice/kinds"]


def test_a_card_is_loaded(alice: HfApi, repo: str, tmp_path: Path) -> None:
    alice.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n# Title\n", path_in_repo="README.md", repo_id=repo)
    text = alice.hf_hub_download(repo, "README.md", local_dir=tmp_path)
    assert ModelCard.load(text).data.license == "mit"


def test_checksums_verify(alice: HfApi, repo: str, tmp_path: Path) -> None:
    operations = [CommitOperationAdd("a.txt", b"text"), CommitOperationAdd("b.bin", os.urandom(100_000))]
    alice.create_commit(repo, operations, commit_message="v")
    alice.snapshot_download(repo, local_dir=tmp_path / "local")
    assert not alice.verify_repo_checksums(repo, local_dir=tmp_path / "local").mismatches
