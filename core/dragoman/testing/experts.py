"""Conformance of experts: ports, shapes, types, determinism, independence of the batch, freezing, gradients, files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor

from dragoman.cards import ExpertCard
from dragoman.catalogue import Offer
from dragoman.errors import DragomanError, PortError
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.representation import Representation, Tokens, length, select
from dragoman.testing.comparing import (
    TOLERANCE,
    check_representation,
    equal,
    equal_states,
    global_generator_untouched,
    require,
    require_equal,
)
from dragoman.testing.samples import floats_of, images, sample_of, texts, with_gradient
from dragoman.testing.suite import check_card, find_offer, fixture_value, resolve, suite

__all__ = ["expert_tests"]

#: Keyword arguments by port.
AllKnobs: TypeAlias = Mapping[str, Mapping[str, Any]]
NO_SUCH_PORT = "no-such-port"
MADE = "it was passed itself, not a checkpoint"
PICKLED = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}


class Subject:
    """An expert under test, and what goes into it.

    Args:
        offer: its card.
        checkpoint: address or folder, or an expert that has none; ``""`` is the default on the card.
        inputs: of :meth:`~dragoman.Expert.encode`, a batch of at least two, or a function of the port's name.
        knobs: of :meth:`~dragoman.Expert.decode`, by port; tensors of the batch's length go along with its rows.
    """

    def __init__(self, offer: Offer[ExpertCard], checkpoint: Any, inputs: Any, knobs: AllKnobs) -> None:
        self.card, self.offer, self.inputs, self.knobs = offer.card, offer, inputs, knobs
        self.is_default = isinstance(checkpoint, str) and not checkpoint
        self.address: Any = offer.card.repo if self.is_default else checkpoint

    @cached_property
    def expert(self) -> Expert:
        return self.address.freeze() if isinstance(self.address, Expert) else self.load(self.address)

    @property
    def is_made(self) -> bool:
        """Whether the expert was passed itself, because it has no checkpoints."""
        return isinstance(self.address, Expert)

    def load(self, address: Any, **options: Any) -> Expert:
        if self.is_made:
            pytest.skip(MADE)
        expert: Expert = self.card.load().from_pretrained(address, **options)
        return expert

    @property
    def giving(self) -> list[Port]:
        return [port for port in self.expert.ports.values() if port.gives]

    @property
    def taking(self) -> list[Port]:
        return [port for port in self.expert.ports.values() if port.takes]

    def read(self, port: Port) -> Any:
        """A batch of inputs for a port that gives."""
        if self.inputs is not None:
            return self.inputs(port.name) if callable(self.inputs) else self.inputs
        return images() if self.expert.reads == "image" else texts()

    def taken(self, port: Port) -> Representation:
        """A batch for a port that takes: what the expert draws there, or noise."""
        try:
            return self.draw(port, 3)
        except PortError:
            return sample_of(port)

    def draw(self, port: Port, n: int) -> Tensor:
        return self.expert.draw(port.name, n, generator=torch.Generator().manual_seed(1))

    def encode(
        self, port: Port, expert: Expert | None = None, rows: list[int] | None = None, seed: int = 1
    ) -> Representation:
        inputs = self.read(port)
        chosen = inputs if rows is None else select(inputs, rows)
        # Captions and posteriors are drawn; other encoders have no use for it.
        return (expert or self.expert).encode(chosen, port.name, generator=torch.Generator().manual_seed(seed))

    def decode(
        self,
        port: Port,
        expert: Expert | None = None,
        rows: list[int] | None = None,
        batch: Representation | None = None,
    ) -> Tensor:
        batch = self.taken(port) if batch is None else batch
        chosen = list(range(length(batch))) if rows is None else rows
        knobs = _rows(self.knobs.get(port.name, {}), chosen, length(batch))
        return (expert or self.expert).decode(batch if rows is None else select(batch, rows), port.name, **knobs)

    def answers(self, expert: Expert | None = None) -> dict[str, Representation]:
        """Everything that the expert gives and renders, by port."""
        given = {f"encode at {port.name}": self.encode(port, expert) for port in self.giving}
        return given | {f"decode at {port.name}": self.decode(port, expert) for port in self.taking}


def _rows(knobs: Mapping[str, Any], rows: list[int], count: int) -> dict[str, Any]:
    """Keyword arguments for some rows of a batch: tensors with ``count`` rows are cut."""
    return {
        name: value[rows] if isinstance(value, Tensor) and len(value) == count else value
        for name, value in knobs.items()
    }


def expert_tests(
    name: str,
    checkpoint: Any = "",
    *,
    inputs: Any = None,
    knobs: AllKnobs | None = None,
    skip: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """The conformance tests of an expert; assign the result to a name that begins with ``test``.

    Args:
        name: on its card.
        checkpoint: folder or address, a function that writes a checkpoint into an empty folder, or the name of a
            fixture that gives one of these; the default on the card when omitted. Small is enough. An expert without
            checkpoints is passed itself; what needs a checkpoint is skipped then.
        inputs: a batch of at least two for ``encode``, or a function that gives one for the name of a port; texts or
            images ``[3, 3, 40, 48]`` by what the expert reads when omitted.
        knobs: arguments of ``decode`` by port; tensors as long as a batch, which has three rows, are cut with it.
        skip: names of checks that do not apply to this expert, and why.
    """

    def make(request: pytest.FixtureRequest) -> Subject:
        found = find_offer("expert", name)
        return Subject(found, resolve(checkpoint, request), fixture_value(inputs, request), knobs or {})

    return suite(CHECKS, make, skip or {})


def check_the_card(subject: Subject) -> None:
    check_card(subject.offer, Expert)
    card = subject.card
    require(card.licence or not card.repo, f"the card of {card.name} names a checkpoint, but not its licence")
    require(card.ports, f"the card of {card.name} has no ports")
    reads = card.load().reads
    require(not reads or reads in card.reads, f"the card of {card.name} does not say that it reads {reads!r}")


def check_ports(subject: Subject) -> None:
    card, ports = subject.card, subject.expert.ports
    for port in card.ports:
        require(port.name in ports, f"the card promises the port {port.name!r}; the checkpoint has {', '.join(ports)}")
        found = ports[port.name]
        for attribute in ("modality", "dtype", "gives", "takes"):
            said, true = getattr(port, attribute), getattr(found, attribute)
            require(said == true, f"the card says {attribute} {said!r} of the port {port.name!r}, which has {true!r}")
        sizes = zip(port.shape, found.shape, strict=False)
        fits = len(port.shape) == len(found.shape) and (
            not subject.is_default or all(isinstance(a, str) or a == b for a, b in sizes)
        )
        require(fits, f"the card says {list(port.shape)} of the port {port.name!r}, which has {list(found.shape)}")
    require(
        type(subject.expert).describe(subject.expert.config) == ports,
        "describe() gives other ports for the configuration than the loaded expert has",
    )


def check_shapes(subject: Subject) -> None:
    for port in subject.giving:
        count = length(subject.read(port))
        check_representation(subject.encode(port), port, count, f"what encode gives at {port.name}")
    for port in subject.taking:
        _check_images(subject, port, subject.decode(port))


def _check_images(subject: Subject, port: Port, found: Tensor) -> None:
    what = f"what decode gives from {port.name}"
    require(isinstance(found, Tensor) and found.ndim == 4, f"{what} is no batch of images [B, C, H, W]")
    require(found.is_floating_point() and found.isfinite().all(), f"{what} is not finite")
    require(len(found) == length(subject.taken(port)), f"{what} has another number of samples")
    low, high = float(found.min()), float(found.max())
    require(low >= -TOLERANCE and high <= 1 + TOLERANCE, f"{what} is in [{low:.3g}, {high:.3g}], not in [0, 1]")


def check_dtype(subject: Subject) -> None:
    half = subject.load(subject.address, dtype=torch.bfloat16)
    floats = [value.dtype for value in half.parameters() if value.is_floating_point()]
    require(set(floats) <= {torch.bfloat16}, "from_pretrained(dtype=torch.bfloat16) leaves other weights")
    for port in (port for port in half.ports.values() if port.gives):
        count = length(subject.read(port))
        check_representation(subject.encode(port, half), port, count, f"in bfloat16, what encode gives at {port.name}")
    for port in (port for port in half.ports.values() if port.takes):
        _check_images(subject, port, subject.decode(port, half))


def check_determinism(subject: Subject) -> None:
    assert subject.expert  # loaded before the block: building layers draws weights that loading replaces
    with global_generator_untouched(subject.card.name):
        first, second = subject.answers(), subject.answers()
    for what, answer in first.items():
        require_equal(second[what], answer, f"{what}, twice the same")


def check_draws(subject: Subject) -> None:
    drawn = 0
    for port in subject.expert.ports.values():
        with global_generator_untouched(f"draw at {port.name}"):
            try:
                many, again, few = (subject.draw(port, n) for n in (3, 3, 1))
            except PortError:
                continue
        drawn += 1
        check_representation(many, port, 3, f"what is drawn at {port.name}")
        require_equal(again, many, f"draws at {port.name} with one seed")
        require_equal(few, many[:1], f"draws at {port.name} of 1 and of 3 rows", tolerance=TOLERANCE)
    if not drawn:
        pytest.skip("it is no generator")


def check_batch(subject: Subject) -> None:
    for port in subject.giving:
        together = subject.encode(port)
        # What is drawn reads the generator row by row, so only the first row alone meets the same draws.
        is_drawn = not equal(together, subject.encode(port, seed=2))
        for row in range(1 if is_drawn else length(together)):
            alone = subject.encode(port, rows=[row])
            what = f"encode at {port.name}, alone and in a batch"
            require_equal(alone, select(together, [row]), what, tolerance=TOLERANCE)
    for port in subject.taking:
        rendered = subject.decode(port)
        for row in range(len(rendered)):
            what = f"decode at {port.name}, alone and in a batch"
            require_equal(subject.decode(port, rows=[row]), rendered[[row]], what, tolerance=TOLERANCE)


def check_frozen(subject: Subject) -> None:
    expert = subject.expert
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    model = torch.nn.ModuleList([expert, torch.nn.Linear(1, 1)]).train()
    require(not any(part.training for part in expert.modules()), "train() of a surrounding module leaves eval mode")
    require(not any(value.requires_grad for value in expert.parameters()), "a parameter requires gradients")
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.1)
    for answer in subject.answers().values():
        values = answer.values if isinstance(answer, Tokens) else answer
        if isinstance(values, Tensor) and values.is_floating_point():
            model[1](values.flatten()[:, None]).square().mean().backward()
    optimizer.step()
    changed = equal_states(before, expert.state_dict())
    require(not changed, f"using the expert, or a step of training beside it, changes {changed}")


def check_gradient(subject: Subject) -> None:
    promised = 0
    for port in subject.giving:
        inputs = subject.read(port)
        if port.modality not in ("label", "text") and floats_of(inputs) is not None:
            promised += 1
            moved = with_gradient(inputs)
            _check_flow(subject.expert.encode(moved, port.name), moved, f"encode at {port.name}")
    for port in subject.taking:
        batch = subject.taken(port)
        if floats_of(batch) is not None:
            promised += 1
            moved = with_gradient(batch)
            _check_flow(subject.decode(port, batch=moved), moved, f"decode at {port.name}")
    if not promised:
        pytest.skip("it neither reads nor takes anything that has a gradient")


def _check_flow(answer: Representation, moved: Any, what: str) -> None:
    values, leaf = floats_of(answer), floats_of(moved)
    assert leaf is not None
    require(values is not None and values.requires_grad, f"no gradient flows through {what}")
    assert values is not None
    # Weights of either sign: the sum of a normalised answer is constant.
    torch.sum(values * torch.linspace(-1, 2, values.numel()).view(values.shape).to(values)).backward()
    gradient = leaf.grad
    require(gradient is not None and gradient.isfinite().all(), f"the gradient through {what} is not finite")
    assert gradient is not None
    require(gradient.abs().sum() > 0, f"the gradient through {what} is zero")


def check_files(subject: Subject) -> None:
    if subject.is_made:
        pytest.skip(MADE)
    with TemporaryDirectory() as name:
        folder = Path(name) / "checkpoint"
        subject.expert.save_pretrained(folder)
        pickled = sorted(path.name for path in folder.rglob("*") if path.suffix in PICKLED)
        require(not pickled, f"save_pretrained writes {pickled[0] if pickled else ''}; weights belong to safetensors")
        again = subject.load(folder)
        different = equal_states(subject.expert.state_dict(), again.state_dict())
        require(not different, f"save_pretrained and from_pretrained change {different}")
        require(again.ports == subject.expert.ports, "save_pretrained and from_pretrained change the ports")
        for what, answer in subject.answers(again).items():
            require_equal(answer, subject.answers()[what], f"{what}, of the saved expert")


def check_errors(subject: Subject) -> None:
    for verb in (subject.expert.encode, subject.expert.decode):
        try:
            verb(texts(), NO_SUCH_PORT)
        except PortError:
            continue
        raise AssertionError(f"{verb.__name__} at a port that does not exist raises no PortError")
    with TemporaryDirectory() as name:
        _check_refused(subject, Path(name), "an empty folder")
        (Path(name) / "config.json").write_text(json.dumps({"model_type": "of-another-architecture"}))
        _check_refused(subject, Path(name), "a checkpoint of another architecture")


def _check_refused(subject: Subject, folder: Path, what: str) -> None:
    try:
        subject.load(folder)
    except DragomanError as error:
        require("\n" not in str(error), f"what is said of {what} is more than one sentence")
    except Exception as error:
        raise AssertionError(f"loading {what} raises {type(error).__name__}, not a PackageError") from error
    else:
        raise AssertionError(f"{what} loads")


#: The checks of experts by name.
CHECKS: dict[str, Callable[[Subject], None]] = {
    "card": check_the_card,
    "ports": check_ports,
    "shapes": check_shapes,
    "dtype": check_dtype,
    "determinism": check_determinism,
    "draws": check_draws,
    "batch": check_batch,
    "frozen": check_frozen,
    "gradient": check_gradient,
    "files": check_files,
    "errors": check_errors,
}
