"""From tuned embeddings to a fusion: names in front, the table between, the generator behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman.fusion import Fusion
from dragoman_tuning.names import ClassNames
from dragoman_tuning.points import embeddings_of, region_of
from dragoman_tuning.translator import ClassEmbedding

__all__ = ["as_fusion"]

#: Where BigGAN-deep's prior ends; the plain family's does not.
_CUT = 2.0
_PRIORS = {"standard normal": 0.0, "standard normal cut off at -2 and 2": _CUT}


def as_fusion(name: str, target: Expert, names: Sequence[str], embeddings: Tensor, facts: Mapping[str, Any]) -> Fusion:
    """A fusion that draws samples of the tuned classes by their names.

    Args:
        name: the name on the generator's card.
        target: the generator, with ports ``latent``, ``class_embedding`` and ``z``.
        names: of the classes.
        embeddings: ``[C, d]``, or points with a region of z.
        facts: what travels with the package.

    Raises:
        InputError: the generator's z has a prior that this version does not know.
    """
    prior = target.port("z").normalisation
    if prior not in _PRIORS:
        raise InputError(f"{name!r} draws z from {prior!r}; class-embedding knows {' and '.join(_PRIORS)}.")
    source = ClassNames().freeze()
    taken = target.port("latent")
    given = source.port("name")
    (size,) = target.port("class_embedding").shape
    region = region_of(embeddings, int(size))
    options = {"names": list(names), "size": int(size), "cut": _PRIORS[prior], "region": region is not None}
    translator = ClassEmbedding.build(given, taken, **options).to(embeddings.device)
    translator.embedding.data.copy_(embeddings_of(embeddings, int(size)))
    if region is not None:
        for parameter, value in zip((translator.mean, translator.deviation), region, strict=True):
            parameter.data.copy_(value)
    return Fusion(
        Endpoint("class-names", source, given),
        translator.requires_grad_(False).eval(),
        Endpoint(name, target, taken),
        names={"translator": "class-embedding"},
        facts={"prompts": list(names)[:4], **facts},
    )
