"""Publishing to a real Hub: by reference, one commit, nothing twice, and nothing that others could not load."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import HfApi, ModelCard

import dragoman
import dragoman_registry
import tiny_bundle
import tiny_zoo
from dragoman import builtin
from dragoman.errors import InputError, PackageError
from dragoman.fusion import Fusion
from dragoman_registry.check import check
from dragoman_registry.commands_hub import push
from dragoman_registry.manifest import read_manifest
from dragoman_registry.publishing import Publication, Request, publish
from dragoman_registry.uploading import Upload
from tiny_zoo.build import build_fusion

LICENCES = {"source": "mit", "target": "apache-2.0"}


def publish_saved(fusion: Fusion, folder: Path, **options: object) -> Publication:
    fusion.save_pretrained(folder)
    return publish(folder, "me/fusion", Request(**options))  # type: ignore[arg-type]


def card_of(api: HfApi) -> str:
    return Path(api.hf_hub_download("me/fusion", "README.md")).read_text()


def test_a_fusion_goes_up_by_reference_and_comes_back_the_same(
    api: HfApi, shared_fusion: Fusion, published_experts: dict[str, str], elsewhere: Callable[[str], None]
) -> None:
    url = shared_fusion.push_to_hub("me/fusion")
    assert re.fullmatch(rf"{api.endpoint}/me/fusion/commit/[0-9a-f]{{40}}", url)
    assert len(api.list_repo_commits("me/fusion")) == 2  # the Hub's own first one, and ours
    files = set(api.list_repo_files("me/fusion")) - {".gitattributes"}
    tests = {"test/inputs.json", "test/outputs.safetensors", "test/tolerances.json"}
    assert files == {"README.md", "config.json", "model.safetensors", "samples.png"} | tests

    elsewhere("theirs")
    again = dragoman.load("me/fusion")
    assert torch.equal(again.sample("a bird", 2), shared_fusion.sample("a bird", 2))
    assert check("hf://models/me/fusion@main").passed
    assert again.source.expert.origin is not None
    assert again.source.expert.origin.revision == published_experts["text"]


def test_a_folder_of_the_same_name_is_no_obstacle(
    api: HfApi, shared_fusion: Fusion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "me" / "fusion").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    shared_fusion.push_to_hub("me/fusion")
    assert api.file_exists("me/fusion", "config.json")
    with pytest.raises(PackageError, match="neither a folder nor a known address"):
        shared_fusion.push_to_hub("nonsense")


def test_nothing_changed_sends_nothing(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    first = publish_saved(shared_fusion, tmp_path / "a")
    assert len(first.sent) == 7
    again = publish_saved(shared_fusion, tmp_path / "b")
    assert (again.sent, again.commit) == ((), first.commit)
    assert len(api.list_repo_commits("me/fusion")) == 2


def test_only_what_changed_is_sent(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    publish_saved(shared_fusion, tmp_path / "a")
    shared_fusion.facts["figures"] = {"fid": 2.0}
    assert set(publish_saved(shared_fusion, tmp_path / "a").sent) == {"README.md", "config.json"}
    assert "| fid | 2 |" in card_of(api)
    assert len(api.list_repo_commits("me/fusion")) == 3


def test_files_of_an_earlier_version_go(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    publish_saved(shared_fusion, tmp_path / "a")
    api.upload_file(path_or_fileobj=b"old", path_in_repo="test/old.json", repo_id="me/fusion")
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/fusion")
    publish_saved(shared_fusion, tmp_path / "a")
    files = api.list_repo_files("me/fusion")
    assert "test/old.json" not in files
    assert "notes.txt" in files


def test_local_experts_are_refused_with_an_offer(api: HfApi, package: Path) -> None:
    words = r"'tiny-text' exists on this machine only \(.*text\).*--with-experts me, which makes it me/text"
    with pytest.raises(InputError, match=words):
        publish(package, "me/fusion")
    assert not api.repo_exists("me/fusion")


def test_local_experts_are_published_first(
    api: HfApi, fusion: Fusion, package: Path, elsewhere: Callable[[str], None], experts: Path
) -> None:
    done = publish(package, "me/fusion", Request(licences=LICENCES, with_experts="me"))
    again = publish(package, "me/fusion", Request(licences=LICENCES, with_experts="me"))
    assert again.commit == done.commit
    assert "license: mit" in Path(api.hf_hub_download("me/text", "README.md")).read_text().replace('"', "")
    shutil.rmtree(experts)
    elsewhere("theirs")
    assert torch.equal(dragoman.load("me/fusion").sample("x"), fusion.sample("x"))


def test_experts_inside_of_plugins_are_named_by_their_address(
    api: HfApi, make_zoo: Callable[..., object], experts: Path, elsewhere: Callable[[str], None]
) -> None:
    make_zoo(builtin, dragoman_registry, tiny_zoo, tiny_bundle)
    bundled = build_fusion(tiny_bundle.PREFIX + str(experts / "text"), tiny_bundle.PREFIX + str(experts / "image"))
    bundled.push_to_hub("me/fusion", licences=LICENCES)
    manifest = json.loads(Path(api.hf_hub_download("me/fusion", "config.json")).read_text())
    assert manifest["components"]["source"]["repo"] == f"bundle/{experts / 'text'}"
    elsewhere("theirs")
    assert torch.equal(dragoman.load("me/fusion").sample("x"), bundled.sample("x"))


def test_an_expert_inside_of_a_plugin_that_has_changed_is_not_published(
    api: HfApi, make_zoo: Callable[..., object], experts: Path, tmp_path: Path
) -> None:
    make_zoo(builtin, dragoman_registry, tiny_zoo, tiny_bundle)
    bundled = build_fusion(tiny_bundle.PREFIX + str(experts / "text"), tiny_bundle.PREFIX + str(experts / "image"))
    bundled.save_pretrained(tmp_path / "a")
    shutil.copy(experts / "judge" / "model.safetensors", experts / "image" / "model.safetensors")
    with pytest.raises(InputError, match=r"'tiny-image' at bundle/.* is no longer what the package was made with"):
        publish(tmp_path / "a", "me/fusion", Request(licences=LICENCES))
    assert not api.repo_exists("me/fusion")


def test_an_expert_does_not_replace_another_model(api: HfApi, package: Path) -> None:
    api.create_repo("me/image")
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="me/image")
    with pytest.raises(PackageError, match="me/image exists and holds another model"):
        publish(package, "me/fusion", Request(licences=LICENCES, with_experts="me"))
    assert not api.repo_exists("me/fusion")


def test_an_expert_that_was_trained_further_is_not_published(package: Path, experts: Path, api: HfApi) -> None:
    shutil.copy(experts / "judge" / "model.safetensors", experts / "image" / "model.safetensors")
    with pytest.raises(InputError, match="image is no longer what the package was made with"):
        publish(package, "me/fusion", Request(licences=LICENCES, with_experts="me"))


def test_unknown_licence_stops_a_push(api: HfApi, package: Path) -> None:
    with pytest.raises(InputError, match=r"licence of 'tiny-image' .* is unknown.*--licence target=ID"):
        publish(package, "me/fusion", Request(licences={"source": "mit"}, with_experts="me"))
    assert not api.repo_exists("me/fusion")
    assert not api.repo_exists("me/text")
    with pytest.raises(InputError, match="no part 'sauce'"):
        publish(package, "me/fusion", Request(licences={"sauce": "mit"}))
    with pytest.raises(InputError, match="is no licence"):
        publish(package, "me/fusion", Request(licences={"source": "<script>"}))


def test_licences_come_from_the_experts_cards(api: HfApi, shared_fusion: Fusion) -> None:
    shared_fusion.push_to_hub("me/fusion")
    manifest = json.loads(Path(api.hf_hub_download("me/fusion", "config.json")).read_text())
    assert [part["licence"] for part in manifest["components"].values()] == ["mit", "apache-2.0"]
    assert ModelCard.load(api.hf_hub_download("me/fusion", "README.md")).data.license == "apache-2.0"


def test_non_commercial_is_said(shared_fusion: Fusion, tmp_path: Path) -> None:
    done = publish_saved(shared_fusion, tmp_path / "a", licences={"target": "cc-by-nc-4.0"})
    assert done.notes == (
        "'tiny-image' is licensed under cc-by-nc-4.0: neither it nor this fusion may be used commercially.",
    )


def test_links_are_not_followed(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    shared_fusion.save_pretrained(tmp_path / "a")
    (tmp_path / "secret").write_text("key")
    (tmp_path / "a" / "README.md").unlink()
    (tmp_path / "a" / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"README\.md is a symbolic link"):
        publish(tmp_path / "a", "me/fusion")
    (tmp_path / "a" / "README.md").unlink()
    shutil.move(tmp_path / "a" / "test", tmp_path / "real")
    (tmp_path / "a" / "test").symlink_to(tmp_path / "real")
    with pytest.raises(InputError, match="test is a symbolic link"):
        publish(tmp_path / "a", "me/fusion")
    assert not api.repo_exists("me/fusion")


def test_what_stands_beside_is_not_published(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    shared_fusion.save_pretrained(tmp_path / "a")
    (tmp_path / "a" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (tmp_path / "a" / "secrets.env").write_text("TOKEN=x")
    done = publish(tmp_path / "a", "me/fusion")
    assert done.notes == ("Not part of the package, and not published: pytorch_model.bin, secrets.env.",)
    assert not {"pytorch_model.bin", "secrets.env"} & set(api.list_repo_files("me/fusion"))


def test_a_damaged_package_is_not_published(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    shared_fusion.save_pretrained(tmp_path / "a")
    with (tmp_path / "a" / "test" / "inputs.json").open("a") as file:
        file.write(" ")
    with pytest.raises(PackageError, match="truncated or altered"):
        publish(tmp_path / "a", "me/fusion")
    assert not api.repo_exists("me/fusion")


def test_another_model_is_not_replaced(api: HfApi, shared_fusion: Fusion) -> None:
    with pytest.raises(PackageError, match="me/text exists and holds another model"):
        shared_fusion.push_to_hub("me/text")


@pytest.mark.parametrize("address", ["nonsense", "a/b/c", "../x", "me/fusion@v1", "me/.hidden", "hf://datasets/me/x"])
def test_addresses_that_are_none(shared_fusion: Fusion, tmp_path: Path, address: str) -> None:
    shared_fusion.save_pretrained(tmp_path / "a")
    with pytest.raises((InputError, PackageError)) as caught:
        publish(tmp_path / "a", address)
    assert str(caught.value).count(".") >= 1


# Words of a person on the card


def test_words_at_the_hub_survive(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    publish_saved(shared_fusion, tmp_path / "a")
    card = card_of(api)
    assert "\n# me/fusion\n" in card
    api.upload_file(
        path_or_fileobj=(card + "\n## Limits\n\nSeen there.\n").encode(), path_in_repo="README.md", repo_id="me/fusion"
    )
    shared_fusion.facts["figures"] = {"fid": 2.0}
    done = publish_saved(shared_fusion, tmp_path / "a")
    new = card_of(api)
    assert new.endswith("## Limits\n\nSeen there.\n")
    assert "| fid | 2 |" in new
    assert done.notes == ()

    local = tmp_path / "a" / "README.md"
    local.write_text(local.read_text() + "\nSaid here.\n")
    (note,) = publish(tmp_path / "a", "me/fusion").notes
    assert note.startswith("The card at me/fusion has words of its own, which were kept")
    assert "Said here." not in card_of(api)
    publish(tmp_path / "a", "me/fusion", Request(overwrite_card=True))
    assert "Said here." in card_of(api)


def test_words_of_the_local_card_are_published(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    shared_fusion.save_pretrained(tmp_path / "a")
    local = tmp_path / "a" / "README.md"
    local.write_text(local.read_text() + "\nSaid here.\n")
    publish(tmp_path / "a", "me/fusion")
    assert "Said here." in card_of(api)


def test_the_cards_snippet_runs(api: HfApi, shared_fusion: Fusion, elsewhere: Callable[[str], None]) -> None:
    shared_fusion.push_to_hub("me/fusion")
    found = re.search(r"```python\n(.*?)```", card_of(api), re.DOTALL)
    assert found is not None
    elsewhere("theirs")
    scope: dict[str, object] = {}
    exec(found[1], scope)
    assert scope["images"].shape == (4, 3, 8, 8)  # type: ignore[attr-defined]


# Tags, branches, pull requests, visibility


def test_tags_do_not_move(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    first = publish_saved(shared_fusion, tmp_path / "a", tag="v1")
    assert publish_saved(shared_fusion, tmp_path / "a", tag="v1").commit == first.commit
    shared_fusion.facts["figures"] = {"fid": 2.0}
    with pytest.raises(InputError, match=f"tag 'v1' of me/fusion is the commit {first.commit} and stays there"):
        publish_saved(shared_fusion, tmp_path / "a", tag="v1")
    assert dragoman.load("me/fusion@v1").facts.get("figures") is None
    assert dragoman.load("me/fusion").facts["figures"] == {"fid": 2.0}


def test_a_branch_is_made(api: HfApi, shared_fusion: Fusion) -> None:
    shared_fusion.push_to_hub("me/fusion")
    shared_fusion.facts["figures"] = {"fid": 3.0}
    shared_fusion.push_to_hub("me/fusion", revision="next", commit_message="Try")
    assert dragoman.load("me/fusion", revision="next").facts["figures"] == {"fid": 3.0}
    assert "figures" not in dragoman.load("me/fusion").facts
    assert api.list_repo_commits("me/fusion", revision="next")[0].title == "Try"


def test_private(api: HfApi, shared_fusion: Fusion, monkeypatch: pytest.MonkeyPatch) -> None:
    shared_fusion.push_to_hub("me/fusion", private=True)
    assert api.model_info("me/fusion").private
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PackageError, match="has no model me/fusion, or not for you"):
        dragoman.load("me/fusion")


def test_a_private_expert_of_a_public_fusion_is_said(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    api.update_repo_settings("me/text", visibility="private")
    done = publish_saved(shared_fusion, tmp_path / "a", how=Upload(private=False))
    assert done.notes == ("me/text is private; only who may see it can load me/fusion.",)


def test_who_may_not_write_is_told(shared_fusion: Fusion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PackageError, match="hf auth login"):
        shared_fusion.push_to_hub("me/fusion", private=False)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PackageError, match="log in with a token that may: hf auth login"):
        shared_fusion.push_to_hub("me/fusion")


# The command


def test_command(api: HfApi, shared_fusion: Fusion, tmp_path: Path) -> None:
    shared_fusion.save_pretrained(tmp_path / "a")
    run = CliRunner().invoke
    result = run(push, [str(tmp_path / "a"), "me/fusion", "--private", "--tag", "v1", "--licence", "source=MIT"])
    assert result.exit_code == 0, result.output
    assert result.stderr.endswith("7 files sent\n")
    assert result.stdout.startswith(f"{api.endpoint}/me/fusion/commit/")
    assert api.model_info("me/fusion", revision="v1").private
    result = run(push, [str(tmp_path / "a"), "me/fusion", "--licence", "source=MIT"])
    assert "Nothing has changed; no commit was made." in result.stderr
    result = run(push, [str(tmp_path / "a"), "me/fusion", "--licence", "mit"])
    assert isinstance(result.exception, InputError)
    assert read_manifest(tmp_path / "a").components["source"].licence == ""  # what is local stays as it is
