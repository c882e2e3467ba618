"""diffusion-prior where it comes from: the mini CLIP's text embedding to its image embedding, on real pairs.

Cosines to the embedding of the true image, of what the prior draws for its caption, of the caption's own embedding, and
of what it draws for another image's caption; how often the nearest of all held-out images is of the caption's class;
one sample against the better of two. A higher cosine is not better by itself: the mean of all images that fit a caption
would win.
"""

from __future__ import annotations

import json
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dragoman.endpoint import load_expert
from dragoman.training.seeding import generator_for
from dragoman_diffusion.prior import DiffusionPrior
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.data import Labelled, fashion_mnist
from dragoman_minizoo.real_pairs import caption

TRAINING, HELD_OUT, STEPS, BATCH, RATE = 6000, 1000, 400, 128, 1e-3


def run() -> dict[str, Any]:
    torch.set_num_threads(1)
    clip, captioner = load_expert("clip-fashion"), load_expert("captioner-fashion")
    assert isinstance(captioner, Captioner)
    train, test = (embed(clip, captioner, split, count) for split, count in (("train", TRAINING), ("test", HELD_OUT)))
    prior = DiffusionPrior.build(clip.port("text"), clip.port("image"), seed=0)
    seconds = fit(prior, *train[:2])
    return {"steps": STEPS, "cpu_seconds": round(seconds, 1), **measure(prior.eval(), *test)}


def embed(clip: Any, captioner: Captioner, split: str, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of texts and images, and the labels, where the captioner has words for the image."""
    data = fashion_mnist(split)
    data = Labelled(data.images[:count], data.labels[:count])
    said = caption(data, captioner, 0)
    clear = torch.tensor([bool(text) for text in said])
    texts = clip.encode([text for text in said if text], "text")
    images = torch.cat([clip.encode(part.float() / 255, "image") for part in data.images[clear].split(500)])
    return texts, images, data.labels[clear]


def fit(prior: DiffusionPrior, texts: Tensor, images: Tensor) -> float:
    generator = generator_for(0, "prior")
    prior.initialize(images[:4096], texts[:4096])
    optimizer = torch.optim.AdamW(prior.parameters(), RATE, weight_decay=0.01)
    started = time.process_time()
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / 50) * (1 - step / STEPS)
        rows = torch.randint(len(images), (BATCH,), generator=generator)
        loss = sum(value.mean() for value in prior.losses(images[rows], texts[rows], generator=generator).values())
        optimizer.zero_grad()
        torch.as_tensor(loss).backward()
        torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
        optimizer.step()
    return time.process_time() - started


@torch.no_grad()
def measure(prior: DiffusionPrior, texts: Tensor, images: Tensor, labels: Tensor) -> dict[str, Any]:
    drawn = {
        f"best of {count}" if count > 1 else "one sample": prior.sample(
            texts, generator=generator_for(1, "prior"), draws=count
        )
        for count in (1, 2)
    }
    again = prior.sample(texts, generator=generator_for(2, "prior"), draws=1)
    return {
        "cosine to the true image": {
            **{name: cosine(value, images) for name, value in drawn.items()},
            "the text's own embedding": cosine(texts, images),
            "for the next image's caption": cosine(drawn["best of 2"].roll(1, 0), images),
            "another image of the class": cosine(another(images, labels), images),
        },
        "cosine of two samples": cosine(drawn["one sample"], again),
        "nearest image is of the class": {
            **{name: nearest(value, images, labels) for name, value in drawn.items()},
            "the text's own embedding": nearest(texts, images, labels),
        },
    }


def cosine(one: Tensor, other: Tensor) -> float:
    return round(float(functional.cosine_similarity(one, other).mean()), 4)


def another(images: Tensor, labels: Tensor) -> Tensor:
    """For each image another one of its class."""
    rows = torch.arange(len(images))
    for label in labels.unique():
        own = (labels == label).nonzero().squeeze(1)
        rows[own] = own.roll(1)
    return images[rows]


def nearest(made: Tensor, images: Tensor, labels: Tensor) -> float:
    """How often the real image that is nearest to an embedding is of the class that its caption names."""
    found = labels[(functional.normalize(made, dim=1) @ functional.normalize(images, dim=1).T).argmax(dim=1)]
    return round(float((found == labels).float().mean()), 4)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
