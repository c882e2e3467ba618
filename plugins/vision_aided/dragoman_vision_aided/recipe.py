"""The recipe of a GAN's training, a TOML file, read strictly."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_args, get_type_hints

from dragoman.errors import InputError

__all__ = ["STRATEGIES", "CriticsTable", "DataTable", "EvaluationTable", "GANRecipe", "ModelTable", "TrainingTable"]

#: How critics are chosen.
STRATEGIES = ("none", "all", "fixed", "progressive")


@dataclass(frozen=True)
class DataTable:
    """``[data]``.

    Args:
        images: folder of images.
        validation: folder of images that snapshots are compared with; those of training when empty.
        mirror: whether half of the images are mirrored.
        limit: read at most so many images, 0 for all.
    """

    images: str
    validation: str = ""
    mirror: bool = False
    limit: int = 0


@dataclass(frozen=True)
class ModelTable:
    """``[model]``: a StyleGAN2 to train on, or a configuration to begin with.

    Args:
        base: address of a StyleGAN2; when empty, training begins from nothing.
        configuration: ``"mini"``, ``"auto"``, or a published one (``"stylegan2"``, ``"paper256"``, ``"cifar"``, ...).
        resolution: height and width of the images.
        image_channels: 1 or 3.
        conditional: whether subfolders of the data are classes.
        discriminator: channels of the discriminator's maps of 4, 8, ... pixels, where they are not the configuration's.
    """

    base: str = ""
    configuration: str = "mini"
    resolution: int = 32
    image_channels: int = 3
    conditional: bool = False
    discriminator: tuple[int, ...] = ()


@dataclass(frozen=True)
class CriticsTable:
    """``[critics]``.

    Args:
        bank: experts, ``NAME[=ADDRESS][:TAP[+TAP...]]``.
        strategy: ``"none"``; ``"all"`` of the bank from the first image on; ``"fixed"``: train without, rank the bank
            once, take the best ``count`` together; ``"progressive"``: train, rank what is left, add the best, again.
        count: how many critics ``fixed`` and ``progressive`` end with.
        loss: ``"sigmoid"`` or ``"hinge"``, or a list with one for each of the bank.
        real_target: of all critics, or 0 to smooth the labels of those whose probe is right more often than 0.9.
        augmentation: ``"none"``, ``"diff"`` or ``"adaptive"``.
        width: channels of the heads.
        weight: factor of the generator's losses.
        warmup: images before a new critic is heard.
        ramp: images over which it then gets its weight.
        probe_images: of each set, for a ranking.
        repeats: of each probe.
    """

    bank: tuple[str, ...] = ()
    strategy: str = "none"
    count: int = 1
    loss: str | tuple[str, ...] = "sigmoid"
    real_target: float = 0.0
    augmentation: str = "diff"
    width: int = 256
    weight: float = 1.0
    warmup: int = 0
    ramp: int = 0
    probe_images: int = 10_000
    repeats: int = 3


@dataclass(frozen=True)
class TrainingTable:
    """``[training]``; a value of 0 means that of the configuration.

    Args:
        stages: thousands of images of each stage: without critics first (not with ``all``), then with them.
        batch_size: images per step.
        learning_rate: of generator and discriminator.
        head_rate: of the critics' heads.
        r1_gamma: weight of the R1 penalty; -1 for none.
        path_length: weight of the path-length penalty; -1 for none.
        ema_decay: of the generator's average, per step.
        augment: of the images that StyleGAN2's own discriminator sees, names of differentiable augmentations.
        seed: of everything.
        precision: ``"no"``, ``"bf16"`` or ``"auto"`` (bfloat16 where the device multiplies it).
        snapshot: thousands of images between snapshots.
    """

    stages: tuple[float, ...]
    batch_size: int = 0
    learning_rate: float = 0.0
    head_rate: float = 0.002
    r1_gamma: float = 0.0
    path_length: float = 0.0
    ema_decay: float = 0.0
    augment: tuple[str, ...] = ()
    seed: int = 0
    precision: str = "no"
    snapshot: float = 50.0


@dataclass(frozen=True)
class EvaluationTable:
    """``[evaluation]``: how the best snapshot is found. Take an expert that is no critic.

    Args:
        features: ``NAME[=ADDRESS][:PORT]``, vectors in whose space the Fréchet distance is taken.
        samples: generated images, and as many real ones.
    """

    features: str
    samples: int = 5000


@dataclass(frozen=True)
class GANRecipe:
    """Everything that ``dragoman train gan`` is told.

    Raises:
        InputError: an entry is missing, unknown, of another type, or contradicts another.
    """

    data: DataTable
    training: TrainingTable
    evaluation: EvaluationTable
    model: ModelTable = field(default_factory=ModelTable)
    critics: CriticsTable = field(default_factory=CriticsTable)

    def __post_init__(self) -> None:
        if self.model.base and self.model.discriminator:
            raise InputError("model.discriminator is for new networks; that of model.base comes with it. Give one.")
        _check_critics(self.critics)
        _check_stages(self.critics, self.training)
        least = min(self.training.batch_size, self.data.limit, self.training.seed)
        if least < 0 or self.training.snapshot <= 0 or self.evaluation.samples < 2:
            raise InputError("The recipe has a negative number, or no images between snapshots, or under two samples.")

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a recipe.

        Raises:
            InputError: the file is missing, is no TOML, or is no recipe.
        """
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path} cannot be read as a recipe: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as a recipe: {error}.") from error
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` gives."""
        tables = get_type_hints(cls)
        if unknown := sorted(set(data) - set(tables)):
            raise InputError(f"The recipe has no table {unknown[0]!r}; there are {', '.join(tables)}.")
        required = {each.name for each in fields(cls) if each.default_factory is MISSING}
        if missing := sorted(required - set(data)):
            raise InputError(f"The recipe lacks the table {missing[0]!r}.")
        return cls(**{name: _table(tables[name], name, value) for name, value in data.items()})

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return asdict(self)


def _table(kind: Any, name: str, data: Any) -> Any:
    if not isinstance(data, Mapping):
        raise InputError(f"The recipe's {name!r} must be a table, not {data!r}.")
    types = get_type_hints(kind)
    if unknown := sorted(set(data) - set(types)):
        raise InputError(f"{name} has no entry {unknown[0]!r}; there are {', '.join(types)}.")
    if missing := sorted(each.name for each in fields(kind) if each.default is MISSING and each.name not in data):
        raise InputError(f"{name} lacks the entry {missing[0]!r}.")
    return kind(**{key: _value(types[key], f"{name}.{key}", value) for key, value in data.items()})


def _value(kind: Any, where: str, value: Any) -> Any:
    """The value, if it is of that type; whole numbers are floats, and lists tuples."""
    for each in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        inner = get_args(each)
        if inner and isinstance(value, list | tuple):
            return tuple(_value(inner[0], where, item) for item in value)
        if each is float and type(value) in (int, float):
            return float(value)
        if not inner and type(value) is each:
            return value
    raise InputError(f"{where} cannot be {value!r}; it is {getattr(kind, '__name__', None) or kind}.")


def _check_critics(critics: CriticsTable) -> None:
    if critics.strategy not in STRATEGIES:
        raise InputError(f"critics.strategy cannot be {critics.strategy!r}; write {', '.join(STRATEGIES)}.")
    if critics.strategy != "none" and not critics.bank:
        raise InputError(f"critics.strategy {critics.strategy!r} needs a bank of experts.")
    if critics.strategy in ("fixed", "progressive") and not 1 <= critics.count <= len(critics.bank):
        raise InputError(f"critics.count is {critics.count}, but the bank has {len(critics.bank)} experts.")
    if not isinstance(critics.loss, str) and len(critics.loss) != len(critics.bank):
        raise InputError(
            f"critics.loss names {len(critics.loss)} losses for {len(critics.bank)} experts; write one for each, or"
            " one text for all."
        )
    if min(critics.width, critics.probe_images, critics.repeats) < 1 or min(critics.warmup, critics.ramp) < 0:
        raise InputError("critics: width, probe_images and repeats are at least 1, warmup and ramp at least 0.")


def _check_stages(critics: CriticsTable, training: TrainingTable) -> None:
    wanted = {"none": 1, "all": 1, "fixed": 2, "progressive": critics.count + 1}[critics.strategy]
    if len(training.stages) != wanted or min(training.stages) <= 0:
        raise InputError(
            f"training.stages must be {wanted} positive numbers with critics.strategy {critics.strategy!r}, not"
            f" {list(training.stages)}."
        )
