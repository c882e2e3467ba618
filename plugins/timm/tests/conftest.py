"""Small random checkpoints in the layout of timm's repositories."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from dragoman.stores import Location
from dragoman_timm.architecture import build_network
from dragoman_timm.expert import Timm


def configuration(architecture, size=32, channels=3, classes=10, **options):
    return {
        "architecture": architecture,
        "num_classes": classes,
        "model_args": {"in_chans": channels, **options},
        "pretrained_cfg": {
            "input_size": [channels, size, size],
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "mean": [0.4, 0.5, 0.6][:channels],
            "std": [0.2, 0.25, 0.3][:channels],
            "num_classes": classes,
        },
    }


SWIN = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 4]}
CONFIGURATIONS = {
    "swin": configuration("swin_tiny_patch4_window7_224", **SWIN),
    "vgg": configuration("vgg11", cfg=[8, "M", 12, "M", 16, 16, "M"], mlp_ratio=1 / 256),
    "vgg_bn": configuration("vgg11_bn", cfg=[8, "M", 12, "M"], mlp_ratio=1 / 256),
    "resnet": configuration("resnet10t", layers=[1, 1, 1, 1], stem_width=8),
    "vit": configuration("vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=3),
    "convnext": configuration("convnext_atto", depths=[1, 1, 1, 1], dims=[8, 12, 16, 24]),
}


def config_of(name):
    return copy.deepcopy(CONFIGURATIONS[name])


def random_network(config, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(config).eval()
        # Fresh networks are nearly constant, and their statistics are those of no data; make errors visible.
        for value in network.state_dict().values():
            if value.is_floating_point():
                value += 0.05 * torch.rand_like(value)
    return network


def write_checkpoint(folder: Path, config, seed=0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {name: value.contiguous() for name, value in random_network(config, seed).state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def load(folder: Path, kind=Timm):
    return kind.from_location(Location(str(folder), folder))


def images(count=2, channels=3, height=32, width=32, seed=0):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """The helpers above, for tests that make their own checkpoint."""
    return SimpleNamespace(
        names=list(CONFIGURATIONS),
        config=config_of,
        write=write_checkpoint,
        load=load,
        images=images,
        change=change_weights,
    )


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """One checkpoint of each configuration; tests do not change them."""
    root = tmp_path_factory.mktemp("timm")
    return {name: write_checkpoint(root / name, config_of(name)) for name in CONFIGURATIONS}


@pytest.fixture(scope="session")
def experts(folders):
    return {name: load(folder) for name, folder in folders.items()}
