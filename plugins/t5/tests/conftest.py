"""Small random checkpoints of T5 1.0 and 1.1 in the layout of transformers, with a tokenizer of sentencepiece."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import sentencepiece
import torch

from dragoman.pretrained import quiet
from dragoman.stores import Location
from dragoman_t5.expert import T5
from dragoman_t5.library import AutoConfig

from transformers import T5ForConditionalGeneration  # isort: skip  (after library, which mends torchvision)

TEXTS = ["a red bag", "shoe", "a very very long blue striped shoe with very long sleeves", "red shoe", "a red bag", ""]
SIZES = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 3,
    "num_heads": 2,
    "vocab_size": 60,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 16,
    "decoder_start_token_id": 0,
}
#: T5 1.1 and what was tuned from it gate their feed-forward layers and do not tie the output to the embeddings.
VERSIONS = {"1.0": {}, "1.1": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}}


def spiece() -> bytes:
    corpus = [*TEXTS[:4], "blue bag with long sleeves", "striped red shoe", "very blue", "long red sleeves"] * 4
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_writer=model,
        vocab_size=44,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return model.getvalue()


def write_checkpoint(folder: Path, version="1.1", seed=0, dtype=torch.float32, **sizes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        # The whole model, as the published checkpoints are: its decoder has to be left alone.
        network = T5ForConditionalGeneration(AutoConfig.for_model("t5", **SIZES, **VERSIONS[version], **sizes))
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        network.to(dtype).save_pretrained(folder)
    (folder / "spiece.model").write_bytes(spiece())
    tokenizer = {"tokenizer_class": "T5Tokenizer", "extra_ids": 4, "eos_token": "</s>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(tokenizer | {"model_max_length": 40, "unk_token": "<unk>"})
    )
    return folder


def load(folder: Path) -> T5:
    return T5.from_location(Location(str(folder), folder))


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """The helpers above, for tests that make their own checkpoint."""
    return SimpleNamespace(write=write_checkpoint, load=load, edit_json=edit_json, texts=TEXTS)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_checkpoint(tmp_path / "t5")


@pytest.fixture(scope="session")
def experts(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {version: load(write_checkpoint(root / version, version)) for version in VERSIONS}


@pytest.fixture(scope="session")
def expert(experts) -> T5:
    return experts["1.1"]
