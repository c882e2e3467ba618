"""Small random checkpoints of CLIP and SigLIP in the layout of transformers."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import CLIPConfig, PreTrainedTokenizerFast, SiglipConfig

from dragoman.pretrained import quiet
from dragoman.stores import Location
from dragoman_clip.checkpoint import MODELS
from dragoman_clip.expert import Clip

WORDS = ["a", "photo", "of", "red", "blue", "striped", "bag", "shoe", "with", "long", "sleeves", "very", "."]
SPECIAL = ["<pad>", "<s>", "<unk>"]
END = "</s>"
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
PREPROCESSOR = {
    "clip": {
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "resample": 3,
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
    },
    "siglip": {
        "do_normalize": True,
        "do_resize": True,
        "resample": 3,
        "size": {"height": 32, "width": 32},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
}


def tokenizer_of_words(family="clip", words=WORDS):
    # The end token is the last, as in CLIP, whose older configurations find it as the largest.
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *words, END])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    single = "<s> $A </s>" if family == "clip" else "$A </s>"
    specials = [("<s>", 1), (END, len(vocabulary) - 1)]
    tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=specials)
    pad = END if family == "siglip" else "<pad>"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token=pad,
        eos_token=END,
        unk_token="<unk>",
        model_max_length=12,
    )


def configuration(family="clip", *, legacy_end=False, channels=3):
    end = 2 if legacy_end else len(SPECIAL) + len(WORDS)
    text = TOWER | {"vocab_size": 20, "max_position_embeddings": 12, "eos_token_id": end, "bos_token_id": 1}
    text |= {"pad_token_id": 0, "projection_dim": 8} if family == "clip" else {"projection_size": 24}
    vision = TOWER | {"hidden_size": 24, "image_size": 32, "patch_size": 8, "num_channels": channels}
    kind = CLIPConfig if family == "clip" else SiglipConfig
    options = {"projection_dim": 8} if family == "clip" else {}
    return kind(text_config=text, vision_config=vision, **options)


def random_network(family="clip", seed=0, **options):
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        network = MODELS[family](configuration(family, **options)).eval()
        # Fresh towers hardly depend on their input; larger weights make errors visible.
        for name, parameter in network.named_parameters():
            if not name.startswith("logit_"):
                parameter.data += 0.1 * torch.randn_like(parameter)
        if family == "siglip":
            network.logit_scale.data.fill_(1.5)
            network.logit_bias.data.fill_(-0.5)
    return network


def write_checkpoint(folder: Path, family="clip", **options) -> Path:
    with quiet():
        random_network(family, **options).save_pretrained(folder)
    tokenizer_of_words(family).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR[family]))
    return folder


def load(folder: Path, kind=Clip):
    return kind.from_location(Location(str(folder), folder))


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def images(count=2, channels=3, height=40, width=50, seed=0):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """The helpers above, for tests that make their own checkpoint."""
    return SimpleNamespace(
        write=write_checkpoint,
        load=load,
        edit_json=edit_json,
        images=images,
        network=random_network,
        tokenizer=tokenizer_of_words,
        preprocessor=PREPROCESSOR,
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_checkpoint(tmp_path / "clip")


@pytest.fixture(scope="session")
def experts(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    made = {family: load(write_checkpoint(root / family, family)) for family in MODELS}
    made["legacy"] = load(write_checkpoint(root / "legacy", legacy_end=True))
    return made


@pytest.fixture(scope="session")
def expert(experts) -> Clip:
    return experts["clip"]
