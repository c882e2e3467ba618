"""The Hub's own keywords, such as ``token`` and ``cache_dir``, hold for a fusion and for its experts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, constants

import dragoman
from dragoman.access import Access, current_access
from dragoman.errors import InputError, PackageError
from dragoman.expert import Expert
from dragoman.fusion import Fusion
from dragoman_registry.hub.serving import Running
from tiny_zoo.parts import TinyText


@pytest.fixture
def hidden(
    api: HfApi, shared_fusion: Fusion, elsewhere: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> Fusion:
    """A private fusion of private experts, an empty cache, and nobody logged in."""
    shared_fusion.push_to_hub("me/fusion", private=True)
    for name in ("text", "image"):
        api.update_repo_settings(f"me/{name}", visibility="private")
    elsewhere("theirs")
    monkeypatch.delenv("HF_TOKEN")
    return shared_fusion


def test_a_token_opens_the_fusion_and_its_experts(hidden: Fusion, served: Running) -> None:
    for load in (dragoman.load, Fusion.from_pretrained):
        with pytest.raises(PackageError, match="has no model me/fusion, or not for you"):
            load("me/fusion")
    again = dragoman.load("me/fusion", token=served.token)
    assert torch.equal(again.sample("x"), hidden.sample("x"))
    assert current_access() == Access()
    with pytest.raises(PackageError, match="has no model me/text, or not for you"):
        TinyText.from_pretrained("me/text")
    expert: Expert = TinyText.from_pretrained("me/text", token=served.token)
    assert expert.origin is not None


def test_a_token_publishes(hidden: Fusion, served: Running, tmp_path: Path) -> None:
    hidden.facts["new"] = True
    url = hidden.save_pretrained(tmp_path / "a", push_to_hub=True, repo_id="me/other", token=served.token, private=True)
    assert url is not None
    commit = url.rpartition("/")[2]
    assert dragoman.load("me/other", revision=commit, token=served.token).facts["new"]


def test_what_is_only_for_publishing(shared_fusion: Fusion, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="repo_id='NAMESPACE/NAME'"):
        shared_fusion.save_pretrained(tmp_path / "a", push_to_hub=True)
    with pytest.raises(InputError, match="token is for publishing; add push_to_hub=True"):
        shared_fusion.save_pretrained(tmp_path / "a", token="hf_x")
    assert not (tmp_path / "a").exists()


def test_a_cache_of_ones_own_holds_everything(
    shared_fusion: Fusion, elsewhere: Callable[[str], None], tmp_path: Path
) -> None:
    shared_fusion.push_to_hub("me/fusion")
    elsewhere("theirs")
    own = tmp_path / "own"
    expected = shared_fusion.sample("x")
    assert torch.equal(dragoman.load("me/fusion", cache_dir=own).sample("x"), expected)
    assert not Path(constants.HF_HUB_CACHE).exists()
    assert {path.name for path in own.iterdir()} == {
        ".locks",
        "models--me--fusion",
        "models--me--text",
        "models--me--image",
    }
    assert torch.equal(dragoman.load("me/fusion", cache_dir=str(own), local_files_only=True).sample("x"), expected)
    with pytest.raises(PackageError, match="me/fusion is not complete in the local cache, and local_files_only is set"):
        dragoman.load("me/fusion", local_files_only=True)


def test_force_download_mends(shared_fusion: Fusion, elsewhere: Callable[[str], None]) -> None:
    shared_fusion.push_to_hub("me/fusion")
    elsewhere("theirs")
    dragoman.load("me/fusion")
    for path in Path(constants.HF_HUB_CACHE).rglob("model.safetensors"):
        path.resolve().write_bytes(b"damaged")
    with pytest.raises(PackageError, match=r"something altered it|was exchanged|not the file"):
        dragoman.load("me/fusion", local_files_only=True)
    assert torch.equal(dragoman.load("me/fusion", force_download=True).sample("x"), shared_fusion.sample("x"))
    dragoman.load("me/fusion", local_files_only=True)
