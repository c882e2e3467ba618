"""Small random checkpoints of both families, and the package that BigGAN-deep has to agree with."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_pretrained_biggan import BigGAN as Reference
from pytorch_pretrained_biggan import BigGANConfig

from dragoman.stores import Location
from dragoman_biggan.deep_config import DeepConfig
from dragoman_biggan.expert import BigGAN
from dragoman_biggan.plain import Generator, PlainConfig

#: With and without attention, blocks that keep, halve and double, 11 rows of statistics.
DEEP = DeepConfig(
    output_dim=32,
    z_dim=6,
    channel_width=4,
    num_classes=5,
    layers=((False, 16, 16), (True, 16, 8), (False, 8, 8), (True, 8, 4), (False, 4, 2), (True, 2, 1)),
    attention_layer_position=4,
)
#: Hierarchical z of four parts, attention in the middle, grey images.
PLAIN = PlainConfig(
    resolution=32,
    channels=4,
    generator=(4, 4, 2, 1),
    discriminator=(1, 2, 2, 4),
    discriminator_downsamples=3,
    z_dim=12,
    shared_dim=6,
    num_classes=5,
    attention=(16,),
    discriminator_attention=(16,),
    image_channels=1,
)


def random_reference(config: DeepConfig, seed: int = 0) -> Reference:
    """The package's network with statistics, singular vectors, gains and attention that all matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Reference(BigGANConfig.from_dict(config.to_dict())).train()
        with torch.no_grad():
            for name, value in [*network.named_parameters(), *network.named_buffers()]:
                if name.endswith("running_means"):
                    value.normal_(0, 0.3)
                elif name.endswith(("running_vars", "generator.bn.weight", "gamma")):
                    value.uniform_(0.3, 2)
                elif name.endswith("bias"):
                    value.normal_(0, 0.1)
            # One power iteration, as a training step does: u and v become neither converged nor random.
            for module in network.modules():
                for hook in module._forward_pre_hooks.values():
                    hook.compute_weight(module, do_power_iteration=True)
    return network.eval()


def random_plain(config: PlainConfig, seed: int = 0, network=Generator):
    """A plain network in which every tensor matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = network(config)
        with torch.no_grad():
            for name, value in made.state_dict().items():
                if name.endswith("stored_var"):
                    value.uniform_(0.3, 2)
                elif name.endswith("u0"):
                    value.copy_(torch.nn.functional.normalize(torch.randn_like(value)))
                elif not name.endswith("sv0"):
                    value.add_(torch.randn_like(value), alpha=0.3)
    return made.eval()


def load(folder: Path, dtype=None) -> BigGAN:
    return BigGAN.from_location(Location(str(folder), folder)).place(dtype, None)


def write_deep(folder: Path, config: DeepConfig = DEEP) -> Reference:
    folder.mkdir(exist_ok=True)
    network = random_reference(config)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return network


def write_plain(folder: Path, config: PlainConfig = PLAIN) -> Generator:
    folder.mkdir(exist_ok=True)
    network = random_plain(config)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    torch.save(network.state_dict(), folder / "G_ema.pth")
    return network


@pytest.fixture(scope="session")
def make():
    return SimpleNamespace(
        deep_config=DEEP,
        plain_config=PLAIN,
        random_reference=random_reference,
        random_plain=random_plain,
        write={"deep": write_deep, "plain": write_plain},
        load=load,
    )


@pytest.fixture(scope="session")
def deep(tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("deep")
    reference = write_deep(folder)
    return SimpleNamespace(folder=folder, reference=reference, expert=load(folder))


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("plain")
    reference = write_plain(folder)
    return SimpleNamespace(folder=folder, reference=reference, expert=load(folder))


@pytest.fixture(params=["deep", "plain"])
def either(request) -> SimpleNamespace:
    return request.getfixturevalue(request.param)
