"""Test vectors: what a fusion made of known prompts when it was saved, and how far a replay may be from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from dragoman.errors import InputError, PackageError
from dragoman.fusion import Fusion
from dragoman.representation import Representation, Tokens, repeat_rows
from dragoman_registry.atomic import write_file
from dragoman_registry.strict import Fields, dump_json, parse_json
from dragoman_registry.tensors import load_tensors, save_tensors

__all__ = [
    "INPUTS",
    "OUTPUTS",
    "TOLERANCES",
    "Inputs",
    "Tolerance",
    "produce",
    "prompts_of",
    "read_vectors",
    "write_vectors",
]

#: The files, inside the package.
INPUTS, OUTPUTS, TOLERANCES = "test/inputs.json", "test/outputs.safetensors", "test/tolerances.json"

# A replay is a test, not a job: a package that asks for more is refused.
_MOST_PROMPTS, _MOST_IMAGES, _LONGEST_PROMPT = 16, 16, 2000
_IMAGE_SIDE = 64
_DEFAULT_PROMPTS = ("A red bird on a branch.", "Black leather boots with a plain pattern.")


@dataclass(frozen=True)
class Inputs:
    """What is replayed.

    Attributes:
        prompts: texts for the source expert.
        n: outputs per prompt.
        seed: of the generator that the noise comes from.
    """

    prompts: tuple[str, ...] = _DEFAULT_PROMPTS
    n: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Tolerance:
    """How far a replayed tensor may be from the stored one.

    An element agrees if ``|new - old| <= atol + rtol * |old|``.

    Attributes:
        rtol: relative part.
        atol: absolute part, in the tensor's units.
        max_mismatch: largest share of elements that may disagree.
        reason: why it is what it is.
    """

    rtol: float
    atol: float
    max_mismatch: float
    reason: str


#: What is written for each output. Processors and libraries sum float32 in different orders; each stage adds to that.
DEFAULT_TOLERANCES = {
    "condition": Tolerance(1e-3, 1e-4, 0.0, "float32 sums in another order, over the layers of one encoder"),
    "condition_mask": Tolerance(0.0, 0.0, 0.0, "a mask is exact"),
    "latent": Tolerance(1e-2, 1e-3, 1e-3, "a deep translator amplifies the differences of its condition"),
    "images": Tolerance(0.0, 2 / 255, 1e-2, "two steps of an 8-bit pixel cannot be seen"),
    "scores": Tolerance(1e-2, 1e-2, 0.0, "a critic sees differences of the images that the eye does not"),
}


@torch.no_grad()
def produce(fusion: Fusion, inputs: Inputs) -> dict[str, Tensor]:
    """Replay: the source expert's representation, the translator's sample, and the outputs.

    Returns:
        ``condition`` as the source port gives it (a token sequence with ``condition_mask``; texts are left out),
        ``latent`` ``[B, ...]``, ``images`` ``[B, C, h, w]`` shrunk to at most 64 pixels a side by averaging, so that
        the vectors stay small, and ``scores`` ``[B]`` if the fusion has a ranker; B is ``len(prompts) * n``.
    """
    condition = fusion.encoder.encode(list(inputs.prompts), fusion.source.port.name)
    repeated = repeat_rows(condition, inputs.n)
    latent = fusion.translator.sample(repeated, generator=_generator(inputs))
    images = fusion.sample(inputs.prompts, inputs.n, generator=_generator(inputs))
    made = {**_named(condition), "latent": latent, "images": _shrunk(images)}
    if fusion.ranker is not None:
        made["scores"] = fusion.ranker.score(images, repeated)
    return {name: tensor.detach().cpu() for name, tensor in made.items()}


def write_vectors(fusion: Fusion, folder: Path) -> None:
    """Write the three files of test vectors into a package.

    The prompts are those in ``fusion.facts["prompts"]``, else two that any encoder of text can read.

    Raises:
        InputError: that fact is no list of texts.
        PackageError: what the fusion makes is NaN or infinite.
        OSError: the files cannot be written.
    """
    inputs = Inputs(prompts_of(fusion))
    training = fusion.translator.training
    fusion.translator.eval()
    outputs = produce(fusion, inputs)
    fusion.translator.train(training)
    write_file(folder / INPUTS, dump_json(asdict(inputs)))
    save_tensors(outputs, folder / OUTPUTS)
    write_file(folder / TOLERANCES, dump_json({name: asdict(DEFAULT_TOLERANCES[name]) for name in outputs}))


def prompts_of(fusion: Fusion) -> tuple[str, ...]:
    """The prompts that a fusion is tested and shown with.

    Raises:
        InputError: the fact ``prompts`` is no list of texts.
    """
    given = fusion.facts.get("prompts", _DEFAULT_PROMPTS)
    texts = given if isinstance(given, (list, tuple)) else ()
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(f"The fact 'prompts' must be a list of texts that are not empty, not {given!r}.")
    return tuple(texts)[:_MOST_PROMPTS]


def read_vectors(folder: Path) -> tuple[Inputs, dict[str, Tensor], dict[str, Tolerance]]:
    """Read what :func:`write_vectors` wrote.

    Raises:
        PackageError: a file is missing, damaged, or asks for more than a test needs.
    """
    inputs = _read_inputs(Fields(_read_json(folder / INPUTS), str(folder / INPUTS)))
    where = f"{folder / TOLERANCES}"
    listed: Mapping[str, object] = Fields({"all": _read_json(folder / TOLERANCES)}, where).mapping("all")
    tolerances = {name: _read_tolerance(Fields(entry, f"{where}: {name}")) for name, entry in listed.items()}
    outputs = load_tensors(folder / OUTPUTS)
    without = outputs.keys() - tolerances.keys()
    if without:
        raise PackageError(f"{where} has no tolerance for {', '.join(sorted(without))}.")
    return inputs, outputs, tolerances


def _read_inputs(fields: Fields) -> Inputs:
    prompts = fields.texts("prompts", rf"(?s).{{1,{_LONGEST_PROMPT}}}")
    inputs = Inputs(prompts, fields.integer("n", 1, _MOST_IMAGES), fields.integer("seed", 0, 2**63 - 1))
    fields.done()
    if not 1 <= len(prompts) <= _MOST_PROMPTS:
        raise PackageError(f"{fields.where} has {len(prompts)} prompts; a test has 1 to {_MOST_PROMPTS}.")
    return inputs


def _read_tolerance(fields: Fields) -> Tolerance:
    tolerance = Tolerance(
        rtol=fields.number("rtol", 0.0, 1.0),
        atol=fields.number("atol", 0.0, 1e6),
        max_mismatch=fields.number("max_mismatch", 0.0, 0.1),
        reason=fields.text("reason"),
    )
    fields.done()
    return tolerance


def _read_json(path: Path) -> object:
    try:
        return parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}.") from error


def _named(condition: Representation) -> dict[str, Tensor]:
    if isinstance(condition, Tokens):
        return {"condition": condition.values, "condition_mask": condition.mask}
    return {"condition": condition} if isinstance(condition, Tensor) else {}


def _shrunk(images: Tensor) -> Tensor:
    height, width = (min(side, _IMAGE_SIDE) for side in images.shape[-2:])
    return torch.nn.functional.interpolate(images, size=(height, width), mode="area")


def _generator(inputs: Inputs) -> torch.Generator:
    return torch.Generator().manual_seed(inputs.seed)
