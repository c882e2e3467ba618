"""Small random networks in which every tensor matters, and official pickles made of them."""

import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from dragoman.stores import Location
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig
from dragoman_stylegan2.discriminator import Discriminator, DiscriminatorBlock, Epilogue
from dragoman_stylegan2.expert import StyleGAN2
from dragoman_stylegan2.generator import Generator
from dragoman_stylegan2.layers import Convolution, FullyConnected
from dragoman_stylegan2.mapping import Mapping
from dragoman_stylegan2.synthesis import StyledConvolution, Synthesis, SynthesisBlock, ToRGB

CHANNELS = (6, 5, 4)


def generator_config(**changes) -> GeneratorConfig:
    fields = {"image_channels": 3, "mapping_layers": 2, "z_dim": 5, "w_dim": 7} | changes
    return GeneratorConfig(16, CHANNELS, **fields)


def discriminator_config(**changes) -> DiscriminatorConfig:
    return DiscriminatorConfig(16, CHANNELS, **({"mapping_layers": 3, "cmap_dim": 4} | changes))


def randomised(network, seed=0):
    """The network with every parameter and learned buffer drawn afresh, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if not name.endswith("resample_filter"):
            value.add_(torch.randn(value.shape, generator=generator), alpha=0.3)
    return network.eval()


def random_generator(seed=0, **changes) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return randomised(Generator(generator_config(**changes)), seed)


def random_discriminator(seed=0, **changes) -> Discriminator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return randomised(Discriminator(discriminator_config(**changes)), seed + 1)


def random_expert(classes=0, seed=0) -> StyleGAN2:
    networks = random_generator(seed, num_classes=classes), random_discriminator(seed, num_classes=classes)
    return StyleGAN2.from_networks(*networks)


def load(folder: Path, dtype=None) -> StyleGAN2:
    return StyleGAN2.from_location(Location(str(folder), folder)).place(dtype, None)


# What the two official repositories put into a module's attributes; their code is not needed to write such files.


def reconstruct(meta):
    raise AssertionError("the file was unpickled")


class EasyDict(dict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name, value):
        self[name] = value


class Persistent(torch.nn.Module):
    """A module that is pickled as a record with the source of its class."""

    def __init__(self, class_name: str, **attributes) -> None:
        super().__init__()
        self.__dict__.update(attributes)
        self.__dict__["_class_name"] = class_name

    def __reduce__(self):
        state = {name: value for name, value in self.__dict__.items() if name != "_class_name"}
        source = "raise AssertionError('the source was executed')\n" * 3
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": self._class_name, "state": state}
        return reconstruct, (meta,)


reconstruct.__module__, reconstruct.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
reconstruct.__name__ = "_reconstruct_persistent_obj"
EasyDict.__module__ = "dnnlib.util"


def _attributes(module, config) -> tuple[str, dict]:
    clamp = getattr(module, "clamp", None)
    match module:
        case Generator():
            return "Generator", {"z_dim": config.z_dim, "img_resolution": config.resolution, "_init_kwargs": EasyDict()}
        case Discriminator():
            return "Discriminator", {"img_resolution": config.resolution}
        case Mapping():
            return "MappingNetwork", {"num_layers": module.layers, "w_avg_beta": 0.995}
        case Synthesis():
            return "SynthesisNetwork", {"block_resolutions": list(config.sizes)}
        case SynthesisBlock():
            fields = {"resolution": module.size, "architecture": "skip", "use_fp16": module.halves}
            return "SynthesisBlock", fields | {"num_conv": module.convolutions, "num_torgb": 1}
        case StyledConvolution():
            fields = {"up": 1 + module.up, "activation": "lrelu", "conv_clamp": clamp}
            return "SynthesisLayer", fields | {"act_gain": np.sqrt(2)}
        case ToRGB():
            return "ToRGBLayer", {"conv_clamp": clamp, "weight_gain": 1 / np.sqrt(3)}
        case DiscriminatorBlock():
            size = _size_of(module, config)
            architecture = "resnet" if module.residual else "orig"
            return "DiscriminatorBlock", {"resolution": size, "architecture": architecture, "use_fp16": module.halves}
        case Epilogue():
            return "DiscriminatorEpilogue", {"resolution": 4, "architecture": "resnet", "cmap_dim": config.cmap_dim}
        case FullyConnected():
            return "FullyConnectedLayer", {"bias_gain": module.rate, "weight_gain": np.float64(module.rate)}
        case Convolution():
            return "Conv2dLayer", {"activation": "lrelu", "conv_clamp": clamp, "act_gain": np.sqrt(2)}
    raise AssertionError(type(module))


def official(module, config=None, frozen=()) -> Persistent:
    """The module as an official file describes it."""
    config = config or module.config
    name, attributes = _attributes(module, config)
    copy = Persistent(name, **attributes)
    for key, value in module.named_parameters(recurse=False):
        if key in frozen:
            copy.register_buffer(key, value.detach())
        else:
            copy.register_parameter(key, torch.nn.Parameter(value.detach().clone()))
    for key, value in module.named_buffers(recurse=False):
        copy.register_buffer(key, value)
    for key, child in module.named_children():
        copy.add_module(key, official(child, config, frozen))
    if isinstance(module, Epilogue):
        copy.mbstd = Persistent("MinibatchStdLayer", group_size=module.group, num_channels=module.channels)
    return copy


def _size_of(block, config):
    # The small configurations have another number of channels at each size.
    return config.sizes[config.channels.index(block.conv0.weight.shape[0])]


def write_official(path: Path, *, variant="ada", generator=None, discriminator=None, frozen=(), **extra) -> Path:
    """A file of the structure that stylegan2-ada-pytorch (``ada``) or stylegan3 (``sg3``) writes."""
    content = {
        "training_set_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset", xflip=False),
        "G": None,
        "D": discriminator and official(discriminator, frozen=frozen),
        "G_ema": generator and official(generator, frozen=frozen),
        "augment_pipe": Persistent("AugmentPipe", p=np.float32(0.5)),
    } | extra
    raw = dumps(content, 3 if variant == "ada" else 4)
    if variant == "ada":  # written with an older numpy, and by Python 3.7
        raw = raw.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    path.write_bytes(raw)
    return path


def dumps(content, protocol=3) -> bytes:
    """Pickle, with the official modules importable as long as it takes."""
    persistence, util = ModuleType("torch_utils.persistence"), ModuleType("dnnlib.util")
    persistence._reconstruct_persistent_obj, util.EasyDict = reconstruct, EasyDict
    modules = {"torch_utils": ModuleType("torch_utils"), "torch_utils.persistence": persistence}
    modules |= {"dnnlib": ModuleType("dnnlib"), "dnnlib.util": util}
    sys.modules.update(modules)
    try:
        return pickle.dumps(content, protocol)
    finally:
        for name in modules:
            del sys.modules[name]


@pytest.fixture(scope="session")
def make():
    return SimpleNamespace(
        generator=random_generator,
        discriminator=random_discriminator,
        expert=random_expert,
        generator_config=generator_config,
        discriminator_config=discriminator_config,
        load=load,
        official=official,
        write_official=write_official,
        dumps=dumps,
        persistent=Persistent,
        easy_dict=EasyDict,
    )


@pytest.fixture(scope="session", params=[0, 3], ids=["unconditional", "conditional"])
def expert(request) -> StyleGAN2:
    return random_expert(request.param)
