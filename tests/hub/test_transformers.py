"""transformers, timm and diffusers in processes of their own, which know of the server by ``HF_ENDPOINT`` alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman_registry.hub.serving import Running

CODE = """
import torch
from dragoman.operators import mend_torchvision
mend_torchvision()
from transformers import AutoModel, BertConfig, BertModel

config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
model = BertModel(config)
model.push_to_hub("tester/tiny-bert")
pulled = AutoModel.from_pretrained("tester/tiny-bert")
state = pulled.state_dict()
assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
print("equal")
"""

OTHERS = """
import dragoman_timm.library  # which lets timm load beside a torchvision that does not fit
import timm
import torch
from diffusers import UNet2DModel

def equal(one, other):
    state = other.state_dict()
    return all(torch.equal(value, state[name]) for name, value in one.state_dict().items())

backbone = timm.create_model("resnet10t.c3_in1k", pretrained=False, num_classes=3)
timm.models.push_to_hf_hub(backbone, "tester/tiny-resnet", model_config={"num_classes": 3})
assert equal(backbone, timm.create_model("hf-hub:tester/tiny-resnet", pretrained=True))
blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
network = UNet2DModel(sample_size=8, block_out_channels=(32,), layers_per_block=1, **blocks)
network.push_to_hub("tester/tiny-unet")
assert equal(network, UNet2DModel.from_pretrained("tester/tiny-unet"))
print("equal")
"""


@pytest.mark.parametrize("code", [CODE, pytest.param(OTHERS, marks=pytest.mark.slow)], ids=["transformers", "others"])
def test_a_model_is_pushed_and_pulled(code: str, hub: Running, tmp_path: Path) -> None:
    own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run([sys.executable, "-c", code], env=kept | own, capture_output=True, text=True, timeout=240)
    assert done.stdout.strip().endswith("equal"), done.stderr


def test_the_command_of_the_client(hub: Running, tmp_path: Path) -> None:
    own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").write_bytes(os.urandom(100_000))
    for arguments in (
        ["upload", "tester/by-command", str(tmp_path / "model")],
        ["download", "tester/by-command", "--local-dir", str(tmp_path / "got")],
    ):
        command = [sys.executable, "-m", "huggingface_hub.cli.hf", *arguments]
        done = subprocess.run(command, env=kept | own, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "got/model.safetensors").read_bytes() == (tmp_path / "model/model.safetensors").read_bytes()
