"""A tiny zoo: discriminators of small StyleGAN2s are vision experts with a map and a vector."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from dragoman.endpoint import load_expert
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig
from dragoman_stylegan2.discriminator import Discriminator
from dragoman_stylegan2.expert import StyleGAN2
from dragoman_stylegan2.generator import Generator


def stylegan2(seed=0, classes=0, size=8):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = (8, 6) if size == 8 else (8, 6, 6)
        common = {"image_channels": 1, "num_classes": classes, "mapping_layers": 2}
        made = Generator(GeneratorConfig(size, widths, z_dim=4, w_dim=6, **common))
        return StyleGAN2.from_networks(made, Discriminator(DiscriminatorConfig(size, widths, cmap_dim=6, **common)))


class Eye(Expert):
    """Maps of 8 and 4 pixels and a vector, by random convolutions; ``wrong`` gives a port another shape."""

    reads = "image"

    def __init__(self, wrong=""):
        super().__init__({})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.first = torch.nn.Conv2d(1, 5, 3, stride=1, padding=1)
            self.second = torch.nn.Conv2d(5, 7, 3, stride=2, padding=1)
        self.wrong, self.passes = wrong, 0
        self.freeze()

    @classmethod
    def describe(cls, config):
        ports = [
            Port("stage.0", "map", (5, 8, 8), gives=True),
            Port("stage.1", "map", (7, 4, 4), gives=True),
            Port("pooled", "vector", (7,), gives=True),
            Port("loose", "map", ("channels", 4, 4), gives=True),
            Port("label", "label", (), dtype="int64", gives=True),
        ]
        return {port.name: port for port in ports}

    def encode(self, inputs, port, *, generator=None):
        return self.encode_many(inputs, [port])[port]

    def encode_many(self, inputs, ports):
        self.passes += 1
        first = self.first(inputs).relu()
        second = self.second(first).relu()
        found = {"stage.0": first, "stage.1": second, "pooled": second.mean(dim=(2, 3))}
        if self.wrong:
            found[self.wrong] = found[self.wrong][:, 1:]
        return {port: found[port] for port in ports}


def write_images(folder, count=40, size=8, seed=0, classes=()):
    generator = torch.Generator().manual_seed(seed)
    for index in range(count):
        grey = int(torch.randint(256, (1,), generator=generator))
        noise = torch.randint(-20, 20, (size, size), generator=generator)
        pixels = (noise + grey).clamp(0, 255).byte().numpy()
        place = folder / classes[index % len(classes)] if classes else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="session")
def tiny():
    """The helpers above, for tests that make their own."""
    return SimpleNamespace(stylegan2=stylegan2, eye=Eye, write_images=write_images)


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory):
    """Folder of three StyleGAN2 checkpoints, ``one``, ``two`` and ``judge``, and of images."""
    root = tmp_path_factory.mktemp("vision-aided")
    for seed, name in enumerate(("one", "two", "judge")):
        stylegan2(seed).save_pretrained(root / name)
    write_images(root / "images")
    write_images(root / "classes", classes=("dark", "light"))
    assert load_expert("stylegan2", str(root / "one")).discriminator is not None
    return root


@pytest.fixture
def recipe_of(zoo_folder):
    """A recipe as a dictionary, with changes by table."""

    def build(**tables):
        bank = [f"stylegan2={zoo_folder / 'one'}:features+pooled", f"stylegan2={zoo_folder / 'two'}:pooled"]
        recipe = {
            "data": {"images": str(zoo_folder / "images"), "mirror": True},
            "model": {"configuration": "mini", "resolution": 8, "image_channels": 1},
            "critics": {"bank": bank, "strategy": "progressive", "count": 2, "width": 8, "probe_images": 40},
            "training": {"stages": [0.032, 0.032, 0.032], "batch_size": 8, "snapshot": 0.016},
            "evaluation": {"features": f"stylegan2={zoo_folder / 'judge'}:pooled", "samples": 32},
        }
        for name, changes in tables.items():
            recipe[name] = recipe[name] | changes
        return recipe

    return build
