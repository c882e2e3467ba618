"""What keeps a translator from learning the wording of its captions by heart: noise on tokens, and hidden tokens.

The text half of `diffusion` (attention-pooled MiniLM tokens) and a small head learn the class and the mentioned levels
of captions of real images, from two of MiniLM's layers, with and without either; then they read captions in unseen
words. Accuracies as class / mentioned levels.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.endpoint import load_expert
from dragoman.representation import Tokens
from dragoman.training.paired import Paired
from dragoman.training.seeding import generator_for
from dragoman_diffusion.text import TextCondition
from dragoman_minizoo.attributes import levels, measure
from dragoman_minizoo.data import fashion_mnist
from dragoman_minizoo.evaluating import held_out_prompts
from dragoman_minizoo.vocabulary import TRAINING, describe

CAPTIONS, PROMPTS, STEPS, BATCH, WIDTH = 6000, 300, 400, 128, 64
#: The last layer of MiniLM, and an earlier one, which is nearer to the words themselves.
PORTS = ("tokens", "hidden.4")
#: Noise in units of the embeddings, whose standard deviation is 0.42; share of hidden tokens.
WAYS = {
    "as they are": (0.0, 0.0),
    "noise 0.4": (0.4, 0.0),
    "a third hidden": (0.0, 0.33),
    "noise 0.4, a fifth hidden": (0.4, 0.2),
}


class Read(NamedTuple):
    tokens: Tokens
    label: Tensor
    levels: Tensor
    mentioned: Tensor


class Reading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text = TextCondition(384, WIDTH)
        self.head = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 2 * WIDTH), nn.SiLU(), nn.Linear(2 * WIDTH, 10 + 9))

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Logits of the class ``[B, 10]`` and of each attribute's levels ``[B, 3, 3]``."""
        logits = self.head(self.text(tokens)[1])
        return logits[:, :10], logits[:, 10:].unflatten(1, (3, 3))


def run() -> dict[str, Any]:
    torch.set_num_threads(1)
    bert = load_expert("bert")
    return {port: read_from(bert, port) for port in PORTS}


def read_from(bert: Any, port: str) -> dict[str, Any]:
    training = written(bert, port)
    asked = {
        tier: Read(bert.encode(one.captions, port), one.label, one.levels, one.mentioned)
        for tier, one in held_out_prompts(PROMPTS).items()
    }
    return {name: judge(learn(training, *way), asked) for name, way in WAYS.items()}


def written(bert: Any, port: str) -> Read:
    captioner: Any = load_expert("captioner-fashion")
    data, generator = fashion_mnist("train"), generator_for(0, "reading")
    label = data.labels[:CAPTIONS]
    seen = levels(measure(data.images[:CAPTIONS].float() / 255), label, captioner.boundaries)
    said = [describe(one, row, TRAINING, generator) for one, row in zip(label.tolist(), seen.tolist(), strict=True)]
    tokens = bert.encode([caption for caption, _ in said], port)
    return Read(tokens, label, seen, torch.tensor([mentioned for _, mentioned in said]))


def learn(data: Read, noise: float, hidden: float) -> Reading:
    torch.manual_seed(0)
    reading, generator = Reading(), generator_for(1, "reading")
    reading.text.initialize(data.tokens)
    disturb = Paired(reading, condition_noise=noise, token_dropout=hidden)._disturb  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(reading.parameters(), 2e-3, weight_decay=0.01)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / STEPS)
        rows = torch.randint(len(data.label), (BATCH,), generator=generator)
        tokens = disturb(Tokens(data.tokens.values[rows], data.tokens.mask[rows]), generator)
        assert isinstance(tokens, Tokens)
        classes, said = reading(tokens)
        wanted = torch.where(data.mentioned[rows], data.levels[rows], -100)
        loss = functional.cross_entropy(classes, data.label[rows])
        loss = loss + functional.cross_entropy(said.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return reading


@torch.no_grad()
def judge(reading: Reading, asked: dict[str, Read]) -> dict[str, str]:
    found = {}
    for tier, one in asked.items():
        classes, said = reading(one.tokens)
        right = (classes.argmax(dim=1) == one.label).float().mean()
        levels_right = (said.argmax(dim=2) == one.levels)[one.mentioned].float().mean()
        found[tier] = f"{right:.2f} / {levels_right:.2f}"
    return found


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
