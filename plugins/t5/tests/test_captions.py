import json

import pytest
import torch
from click.testing import CliRunner

from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.representation import Tokens, concatenate
from dragoman_t5.captions import CaptionStore, encode_captions, read_captions
from dragoman_t5.commands import pre_encode
from dragoman_t5.expert import T5

CAPTIONS = ["a red bag", "shoe", "a very very long blue striped shoe", "red shoe", "a red bag", "blue bag", "sleeves"]


@pytest.fixture
def endpoint(expert):
    return Endpoint("t5", expert, expert.port("tokens"))


@pytest.fixture
def store(endpoint, tmp_path):
    return encode_captions(CAPTIONS, endpoint, tmp_path / "store", dtype=torch.float32, shard_size=3)


@pytest.mark.parametrize("rows", [list(range(7)), [6, 0, 3], [2, 2, 5], [4]])
def test_what_is_stored_is_what_is_encoded(rows, store, expert):
    values, mask = store.at(rows)
    expected = expert.encode([CAPTIONS[row] for row in rows], "tokens")
    assert torch.equal(mask, expected.mask)
    torch.testing.assert_close(values, expected.values, atol=1e-5, rtol=0)


def test_vectors_are_stored_too(expert, tmp_path):
    endpoint = Endpoint("t5", expert, expert.port("pooled"))
    store = encode_captions(CAPTIONS, endpoint, tmp_path, dtype=torch.float32, shard_size=3)
    torch.testing.assert_close(store.at([5, 1]), expert.encode([CAPTIONS[5], CAPTIONS[1]], "pooled"), atol=1e-5, rtol=0)


def test_half_precision_without_padding_is_small(endpoint, tmp_path, expert):
    store = encode_captions(CAPTIONS, endpoint, tmp_path, shard_size=4)
    stored = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    tokens = int(expert.encode(CAPTIONS, "tokens").mask.sum())
    assert stored < tokens * 16 * 2 + 1000
    found, expected = store.at(range(7)), expert.encode(CAPTIONS, "tokens")
    assert found.values.dtype == torch.float32
    torch.testing.assert_close(found.values, expected.values, atol=5e-3, rtol=0)


def test_values_beyond_the_type_are_refused(expert, tmp_path):
    class Large(T5):
        def encode(self, inputs, port, *, generator=None):
            return Tokens(torch.full((len(inputs), 2, 16), 1e6), torch.ones(len(inputs), 2, dtype=torch.bool))

    large = Large(expert.config, expert.network, expert.tokenizer)
    large.origin = expert.origin
    with pytest.raises(InputError, match=r"do not fit torch\.float16"):
        encode_captions(CAPTIONS, Endpoint("t5", large, large.port("tokens")), tmp_path)


def test_a_run_that_was_killed_goes_on(store, endpoint, monkeypatch):
    whole = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    (store.folder / "00001.safetensors").unlink()
    with pytest.raises(InputError, match="lacks 1 of 3 shards"):
        CaptionStore(store.folder)
    encoded, original = [], T5.encode
    monkeypatch.setattr(T5, "encode", lambda self, texts, port: encoded.extend(texts) or original(self, texts, port))
    encode_captions(CAPTIONS, endpoint, store.folder, dtype=torch.float32, shard_size=3)
    assert encoded == CAPTIONS[3:6]
    assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == whole


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"captions": [*CAPTIONS[:-1], "shoes"]}, "captions"),
        ({"dtype": torch.bfloat16}, "dtype"),
        ({"shard_size": 4}, "shard"),
    ],
)
def test_another_run_does_not_mix_with_it(store, endpoint, change, what):
    options = {"captions": CAPTIONS, "dtype": torch.float32, "shard_size": 3} | change
    with pytest.raises(InputError, match=f"differ in {what}.*choose another folder"):
        encode_captions(options.pop("captions"), endpoint, store.folder, **options)


def test_other_weights_do_not_mix_with_it(store, tiny, tmp_path):
    other = T5.from_pretrained(tiny.write(tmp_path / "other", seed=1))
    with pytest.raises(InputError, match="differ in weights"):
        encode_captions(
            CAPTIONS, Endpoint("t5", other, other.port("tokens")), store.folder, dtype=torch.float32, shard_size=3
        )


def test_an_offloaded_encoder_encodes_captions(store, expert):
    offloaded = T5.from_pretrained(expert.origin.folder, offload=True)
    endpoint = Endpoint("t5", offloaded, offloaded.port("tokens"))
    (store.folder / "00002.safetensors").unlink()
    again = encode_captions(CAPTIONS, endpoint, store.folder, dtype=torch.float32, shard_size=3)
    torch.testing.assert_close(again.at([6]).values, expert.encode(CAPTIONS[6:], "tokens").values, atol=1e-5, rtol=0)


def test_an_expert_without_files_is_refused(expert, tmp_path):
    made = T5(expert.config, expert.network, expert.tokenizer)
    with pytest.raises(InputError, match="built in memory"):
        encode_captions(CAPTIONS, Endpoint("t5", made, made.port("tokens")), tmp_path)


def test_damaged_stores_are_refused(store):
    with pytest.raises(InputError, match="there is no number 7"):
        store.at([0, 7])
    (store.folder / "00000.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"00000\.safetensors is damaged"):
        store.at([0])
    (store.folder / "captions.json").write_text("{")
    with pytest.raises(InputError, match="holds no encoded captions"):
        CaptionStore(store.folder)


def test_captions_are_lines(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("\ufeffa red bag\n  größer als üblich \n", encoding="utf-8")
    assert read_captions(path) == ["a red bag", "größer als üblich"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no captions"),
        (b"a\n\nb\n", "line 2 is empty"),
        (b"\xff\xfe\x00", "UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_files_without_captions_are_refused(content, message, tmp_path):
    if content is not None:
        (tmp_path / "captions.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_captions(tmp_path / "captions.txt")


def test_the_command_encodes_a_file(tmp_path, folder, expert):
    (tmp_path / "captions.txt").write_text("\n".join(CAPTIONS))
    arguments = [f"t5={folder}:tokens", str(tmp_path / "captions.txt"), str(tmp_path / "out"), "--dtype", "bfloat16"]
    result = CliRunner().invoke(pre_encode, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "7 captions in" in result.output
    assert json.loads((tmp_path / "out" / "captions.json").read_text())["dtype"] == "bfloat16"
    found, expected = CaptionStore(tmp_path / "out").at(range(7)), concatenate([expert.encode(CAPTIONS, "tokens")])
    torch.testing.assert_close(found.values, expected.values, atol=0.05, rtol=0)
