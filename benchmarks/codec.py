"""The codec against CompressAI's Python path, with the same weights on the same picture; what a knob costs in training.

CPU seconds of one thread, in alternation. Without CompressAI, which is no dependency, there are only our own figures.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.operators import mend_torchvision
from dragoman_codec.architectures import network_of
from dragoman_codec.expert import Codec
from dragoman_codec.train import HIGH, LOW, family_of, film_of
from dragoman_codec.training import RateDistortion
from dragoman_yoto.method import LossConditional

PUBLISHED = {"architecture": "scale-hyperprior", "N": 128, "M": 192}
MINI = {"architecture": "lapped-hyperprior", "N": 64, "M": 96}


def picture(height: int = 512, width: int = 768) -> Tensor:
    """Smooth colours and some texture, uint8 ``[3, H, W]``, of the size of Kodak's photographs."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height // 32, width // 32, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    noise = 0.05 * torch.randn(3, height, width, generator=generator)
    return ((smooth + noise).clamp(0, 1) * 255).byte()


def codecs() -> dict[str, Codec]:
    """The shipped codec at its default quality, and one of published size with random weights."""
    shipped = Codec.from_pretrained("codec/mini")
    plain = shipped.at().network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        published = network_of(PUBLISHED)
    published.entropy_bottleneck.update()
    sizes = {name: shipped.config[name] for name in PUBLISHED}
    return {"mini": Codec(sizes, plain), "published_size": Codec(PUBLISHED, published)}


def theirs_of(codec: Codec) -> Any:
    """CompressAI's model of the same weights, or ``None``, as for an architecture that it has not."""
    if codec.config["architecture"] != PUBLISHED["architecture"]:
        return None
    mend_torchvision()
    try:
        from compressai.models import ScaleHyperprior  # type: ignore[import-not-found]
    except ImportError:
        return None
    model = ScaleHyperprior(codec.config["N"], codec.config["M"])
    tables = ("_offset", "_quantized_cdf", "_cdf_length", "scale_table")
    state = {name: value for name, value in codec.network.state_dict().items() if not name.endswith(tables)}
    nn.Module.load_state_dict(model, state, strict=False)  # their own wants tables, which are made anew
    model.update(force=True)
    return model.eval()


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    started = process_time()
    work()
    return process_time() - started


def throughput(codec: Codec, rounds: int) -> dict[str, float]:
    """Megabytes of pixels per CPU second, encoding and decoding."""
    pixels = picture()
    stream, images = codec.compress(pixels), (pixels[None].float() / 255)
    works: dict[str, Callable[[], Any]] = {
        "encode": lambda: codec.compress(pixels),
        "decode": lambda: codec.decompress(stream),
    }
    model = theirs_of(codec)
    if model is not None:
        with torch.no_grad():
            made = model.compress(images)
        works["compressai_encode"] = lambda: model.compress(images)
        works["compressai_decode"] = lambda: model.decompress(**made)
    with torch.no_grad():
        taken = {name: median(times) for name, times in alternated(works, rounds).items()}
    megabytes = pixels.numel() / 1e6
    found = {f"{name}_mb_per_second": megabytes / value for name, value in taken.items()}
    bits = {"bytes": float(len(stream))}
    if model is not None:
        bits["compressai_bytes"] = float(sum(len(part[0]) for part in made["strings"]))
        bits["encode_ratio"] = taken["compressai_encode"] / taken["encode"]
        bits["decode_ratio"] = taken["compressai_decode"] / taken["decode"]
    return found | bits


def alternated(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each, round after round."""
    for work in works.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(seconds(work))
    return found


def film_cost(rounds: int) -> dict[str, float]:
    """CPU seconds of a training step of the mini codec with and without modulations, and their ratio."""
    images = {"image": picture(128, 512).float().view(3, 128, 4, 128).permute(2, 0, 1, 3).contiguous() / 255}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = RateDistortion(network_of(MINI), weight=0.01)
        network = network_of(MINI)
        modulated = LossConditional(RateDistortion(network), family_of(LOW, HIGH), **film_of(network))
    works = {name: step_of(method, images) for name, method in (("without", plain), ("with", modulated))}
    times = alternated(works, rounds)
    ratio = median(one / other for one, other in zip(times["with"], times["without"], strict=True))
    return {"ratio": ratio, **{f"{name}_film_seconds": median(values) for name, values in times.items()}}


def step_of(method: Any, batch: dict[str, Tensor]) -> Callable[[], None]:
    """A training step: losses, gradients, Adam."""
    (phase,) = method.phases()
    optimizer = torch.optim.AdamW(list(phase.parameters), lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        losses = method("codec", batch, generator)
        sum(phase.weights.get(name, 1.0) * loss.mean() for name, loss in losses.items()).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def run(rounds: int = 5) -> dict[str, Any]:
    """Measure; ratios above 1 mean that CompressAI takes longer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found: dict[str, Any] = {name: throughput(codec, rounds) for name, codec in codecs().items()}
        return found | {"film": film_cost(10 * rounds)}
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
