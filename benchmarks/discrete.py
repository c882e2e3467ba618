"""Class embeddings in a flow: a categorical head against noise of several sizes, at equal steps.

The pairs are latents of the mini zoo's generator with what its captioner sees in them (class and levels) as condition,
so that nothing but the translator is measured. With noise the flow models all coordinates, and the class embedding of
a sample is snapped to the nearest one.
"""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dragoman.endpoint import load_expert
from dragoman.ports import Port
from dragoman_cinn.translator import CINN
from dragoman_minizoo.vocabulary import MENTION

PAIRS, HELD_OUT, STEPS, BATCH, RATE = 16384, 2000, 300, 256, 3e-3
#: Standard deviations of the noise, over that of the embeddings; ``None`` is the categorical head.
NOISES = (None, 0.0, 0.02, 0.1, 0.3)


class Seen(NamedTuple):
    latent: Tensor
    label: Tensor
    levels: Tensor


def run() -> dict[str, Any]:
    """Agreement of samples with their conditions, by the captioner's eye, and CPU seconds of training."""
    torch.set_num_threads(1)
    expert, captioner = load_expert("biggan-fashion"), load_expert("captioner-fashion")
    seen = look(expert, captioner, torch.Generator().manual_seed(0))
    return {
        ("categorical" if noise is None else f"noise {noise}"): one(noise, seen, expert, captioner) for noise in NOISES
    }


def look(expert: Any, captioner: Any, generator: torch.Generator) -> Seen:
    latent = expert.draw("latent", PAIRS, generator=generator)
    images = [expert.decode(part, "latent") for part in latent.split(500)]
    labels, levels = zip(*(captioner.see(part) for part in images), strict=True)
    return Seen(latent, torch.cat(labels), torch.cat(levels))


def tell(label: Tensor, levels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Conditions, and the levels that they mention (3 where an attribute is left open)."""
    mentioned = torch.rand(levels.shape, generator=generator) < torch.tensor(MENTION)[levels]
    said = torch.where(mentioned, levels, 3)
    return torch.cat([F.one_hot(label, 10), F.one_hot(said, 4).flatten(1)], dim=1).float(), said


def one(noise: float | None, seen: Seen, expert: Any, captioner: Any) -> dict[str, float]:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    atoms, z_size = expert.atoms("latent"), expert.port("z").shape[0]

    def blur(latent: Tensor) -> Tensor:
        if noise is None:
            return latent
        error = noise * atoms.values.std() * torch.randn(latent[:, z_size:].shape, generator=generator)
        return torch.cat([latent[:, :z_size], latent[:, z_size:] + error], dim=1)

    flow = CINN.build(Port("seen", "vector", (22,)), expert.port("latent"), seed=0, ridges=12, depth=2)
    conditions, _ = tell(seen.label, seen.levels, generator)
    flow.initialize(blur(seen.latent[:4096]), conditions[:4096], atoms if noise is None else None)
    optimizer = torch.optim.Adam(flow.parameters(), RATE)
    started = time.process_time()
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * min(1, step / 50) * (1 - step / STEPS)
        rows = torch.randint(PAIRS - HELD_OUT, (BATCH,), generator=generator)
        condition, _ = tell(seen.label[rows], seen.levels[rows], generator)
        optimizer.zero_grad()
        flow.losses(blur(seen.latent[rows]), condition)["nll"].mean().backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 5)
        optimizer.step()
    seconds = time.process_time() - started
    return {"cpu_seconds": round(seconds, 1), **agreement(flow.eval(), seen, expert, captioner, generator)}


@torch.no_grad()
def agreement(flow: CINN, seen: Seen, expert: Any, captioner: Any, generator: torch.Generator) -> dict[str, float]:
    label, levels = seen.label[-HELD_OUT:], seen.levels[-HELD_OUT:]
    condition, said = tell(label, levels, generator)
    sample, values, z_size = (
        flow.sample(condition, generator=generator),
        expert.atoms("latent").values,
        expert.port("z").shape[0],
    )
    snapped = values[torch.cdist(sample[:, z_size:], values).argmin(dim=1)]
    images = expert.decode(torch.cat([sample[:, :z_size], snapped], dim=1), "latent")
    found, shown = captioner.see(images)
    return {
        "class": round(float((found == label).float().mean()), 3),
        "mentioned_levels": round(float((shown == levels)[said < 3].float().mean()), 3),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
