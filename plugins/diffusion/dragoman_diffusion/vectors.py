"""What translators to vectors share: statistics, discrete coordinates, embedded conditions and guidance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.errors import InputError, PortError
from dragoman.expert import Atoms
from dragoman.knobs import Knob
from dragoman.ports import Port
from dragoman.representation import Representation, randn_rows
from dragoman.translator import Translator
from dragoman_cinn.atoms import AtomHead, describe_atoms
from dragoman_cinn.distinct import distinct_runs
from dragoman_cinn.embedder import build_embedder, describe_condition
from dragoman_cinn.standardizer import Standardizer
from dragoman_diffusion.health import condition_gap
from dragoman_diffusion.options import check_known, check_modality, check_range

__all__ = ["Field", "VectorTranslator"]

#: From vectors ``[B, D]`` and times ``[B]`` to vectors ``[B, D]``.
Field: TypeAlias = Callable[[Tensor, Tensor], Tensor]
_CONDITIONS = ("vector", "tokens", "map", "image")


class VectorTranslator(Translator):
    """A translator whose network moves noise to standardised vectors.

    Coordinates that take only a few values (atoms) get a categorical distribution given the condition, and the network
    models the others given condition and atom. Subclasses implement :meth:`_make_network`, :meth:`_loss` and
    :meth:`_draw`.

    Args:
        config: keyword arguments of the subclass.

    Attributes:
        config: the same; :meth:`initialize` adds the atoms.
    """

    #: Name on the card.
    name: ClassVar[str]
    #: Name of the network's own loss.
    loss: ClassVar[str]
    #: Smallest and largest value of each numeric option.
    limits: ClassVar[Mapping[str, tuple[float, float]]]
    #: Options by name of a size.
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]]
    #: What :meth:`sample` takes.
    choices: ClassVar[tuple[Knob, ...]]

    initialized: Tensor
    null: nn.Parameter

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.register_buffer("initialized", torch.tensor(False))
        self._make()

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        """A fresh translator between two ports.

        Args:
            source: gives the condition: a vector, tokens, a map or an image.
            target: takes vectors of fixed size.
            **options: ``size`` (a key of :attr:`sizes`) and arguments of the class, which win over the size; ``seed``
                is that of torch's global generator when omitted.

        Raises:
            PortError: the ports are of other kinds, or leave their sizes open.
            InputError: an option is unknown or out of range.
        """
        check_modality(source, _CONDITIONS, cls.name, "takes")
        check_modality(target, ("vector",), cls.name, "gives")
        size = options.pop("size", "default")
        if size not in cls.sizes:
            raise InputError(f"{cls.name} has no size {size!r}; its sizes are {', '.join(cls.sizes)}.")
        chosen = {"seed": torch.initial_seed() % 2**31, **cls.sizes[size], **options}
        check_known(chosen, cls.limits, cls.name)
        for name, value in chosen.items():
            least, most = cls.limits[name]
            check_range(name, value, least, most, whole=name not in ("dropout", "atom_temperature"))
        return cls(**cls._ports(source, target), **chosen)

    @classmethod
    def _ports(cls, source: Port, target: Port) -> dict[str, Any]:
        """What the configuration has to know of the ports."""
        if len(target.shape) != 1 or isinstance(target.shape[0], str):
            raise PortError(f"{cls.name} gives vectors of fixed size, not the port {target}.")
        unit = target.normalisation == "unit norm"
        return {"target": target.shape[0], "condition": describe_condition(source), "unit": unit}

    def initialize(self, target: Tensor, condition: Representation, atoms: Atoms | None = None) -> None:
        """Measure statistics on a large batch, and learn which coordinates are discrete.

        With ``atoms`` the networks are made anew for the coordinates that remain, so call this before an optimiser
        takes the parameters. A translator that was initialised before, or loaded, keeps its state.

        Args:
            target: ``[B, D]``.
            condition: the conditions of the same samples.
            atoms: the target's discrete coordinates, if any.

        Raises:
            InputError: the batches do not have the sizes of the ports, or no row.
        """
        if bool(self.initialized):
            return
        if len(target) == 0:
            raise InputError(f"{self.name} cannot be initialised from no pairs; give it at least one.")
        if atoms is not None:
            self._take(atoms)
        with torch.no_grad():
            self.embedder.initialize(condition)
            self.standardizer.measure(self._split(target)[0])
            self.initialized.fill_(True)

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """The network's loss ``[B]``, and with atoms ``class``: the atom's negative log-probability in nats, ``[B]``.

        Args:
            target: ``[B, D]``.
            condition: the conditions of the same samples.
            generator: draws noise, times, and the conditions that are dropped.
        """
        continuous, index = self._split(target)
        embedded = self._embed(condition)
        losses: dict[str, Tensor] = {}
        if continuous.shape[1]:
            informed = self._inform(self._dropped(embedded, generator), index)
            losses |= self._loss(self.standardizer(continuous), informed, generator)
        if self.atoms is not None and index is not None:
            losses["class"] = -self.atoms.log_probability(embedded).gather(1, index.unsqueeze(1)).squeeze(1)
        return losses

    def knobs(self) -> tuple[Knob, ...]:
        """The :attr:`choices`; there is no guidance where training dropped no conditions."""
        return tuple(knob for knob in self.choices if self.config["dropout"] or knob.name != "guidance_scale")

    def signals(self, target: Tensor, condition: Representation) -> dict[str, float]:
        """``captions.*``: the network's loss with right and wrong conditions, and their relative gap."""
        if len(target) < 2:
            return {}
        found = condition_gap(
            lambda given: self.losses(target, given, generator=torch.Generator().manual_seed(0))[self.loss], condition
        )
        return {f"captions.{name}": value for name, value in found.items()}

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """One draw for each condition, ``[B, D]``; gradients flow, except to atoms.

        Args:
            condition: a batch of conditions.
            generator: source of randomness, read row by row.
            temperature: standard deviation of the noise from which a sample begins, and a factor of the temperature
                of the atoms' distribution.
            **knobs: see :attr:`choices`; ``guidance_scale`` is w in ``w f(x, c) + (1 - w) f(x)``, 1 for no guidance.

        Raises:
            InputError: a knob is unknown or out of range.
        """
        check_range("temperature", temperature, 0)
        chosen = self._chosen(knobs)
        embedded = self._embed_runs(condition)
        copies, size = self._copies(chosen), self.standardizer.mean.numel()
        noise = randn_rows(len(embedded), copies * size + bool(self.atoms), generator).to(embedded)
        index = None
        if self.atoms is not None:
            sharpness = temperature * self.config["atom_temperature"]
            index = self.atoms.draw(embedded, torch.special.ndtr(noise[:, -1]), sharpness)
        if not size:
            return self._join(noise[:, :0], index)
        start = temperature * noise[:, : copies * size].view(-1, copies, size)
        return self._join(self._draw(start, embedded, index, condition, chosen), index)

    def _chosen(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        check_known(knobs, [knob.name for knob in self.choices], self.name, "knob")
        chosen = {**{knob.name: knob.default for knob in self.choices}, **knobs}
        check_range("guidance_scale", chosen["guidance_scale"], 0)
        if chosen["guidance_scale"] != 1 and not self.config["dropout"]:
            raise InputError(f"This {self.name} was trained without dropout, so guidance_scale must stay 1.")
        return chosen

    def _copies(self, chosen: Mapping[str, Any]) -> int:
        """Noise vectors per sample."""
        return 1

    def _guided(self, embedded: Tensor, index: Tensor | None, scale: float) -> Field:
        """The network under a condition, with guidance."""
        informed = self._inform(embedded, index)
        if scale == 1:
            return lambda x, t: self.network(x, t, informed)
        free = self._inform(self.null.expand_as(embedded), index)
        return lambda x, t: torch.lerp(self.network(x, t, free), self.network(x, t, informed), scale)

    def _make_network(self, size: int) -> nn.Module:
        raise NotImplementedError

    def _loss(self, clean: Tensor, informed: Tensor, generator: torch.Generator | None) -> dict[str, Tensor]:
        raise NotImplementedError

    def _draw(
        self,
        noise: Tensor,
        embedded: Tensor,
        index: Tensor | None,
        condition: Representation,
        chosen: Mapping[str, Any],
    ) -> Tensor:
        """Noise ``[B, copies, d]`` to standardised samples ``[B, d]``."""
        raise NotImplementedError

    def _dropped(self, embedded: Tensor, generator: torch.Generator | None) -> Tensor:
        share = self.config["dropout"]
        if not share:
            return embedded
        place = generator.device if generator is not None else None
        drop = torch.rand(len(embedded), 1, generator=generator, device=place).to(embedded.device) < share
        return torch.where(drop, self.null.to(embedded), embedded)

    def _embed(self, condition: Representation) -> Tensor:
        embedded: Tensor = self.embedder(condition)
        return embedded

    def _embed_runs(self, condition: Representation) -> Tensor:
        """Embed each run of equal conditions once: a prompt is often sampled many times."""
        if isinstance(condition, list):
            return self._embed(condition)
        distinct, run = distinct_runs(condition)
        return self._embed(distinct)[run]

    def _inform(self, embedded: Tensor, index: Tensor | None) -> Tensor:
        return embedded if self.atoms is None or index is None else self.atoms.inform(embedded, index)

    def _split(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        size = self.config["target"]
        if target.shape[1:] != (size,):
            raise InputError(f"The target must be a tensor [B, {size}], not {list(target.shape)}.")
        target = target.to(self.standardizer.mean)
        return (target, None) if self.atoms is None else self.atoms.split(target)

    def _join(self, standardized: Tensor, index: Tensor | None) -> Tensor:
        continuous = self.standardizer.inverse(standardized)
        if self.atoms is not None and index is not None:
            return self.atoms.join(continuous, index)
        return functional.normalize(continuous, dim=1) if self.config["unit"] else continuous

    def _take(self, atoms: Atoms) -> None:
        description = describe_atoms(atoms, self.config["target"])
        if self.config["atoms"] != description:
            device = self.standardizer.mean.device
            self.config["atoms"] = description
            self._make()
            self.to(device)
        assert self.atoms is not None
        self.atoms.initialize(atoms)

    def _make(self) -> None:
        config = self.config
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config["seed"])
            embedding, atoms = config["embedding"], config["atoms"]
            self.embedder = build_embedder(
                config["condition"], config["embedder_width"], config["embedder_layers"], embedding
            )
            self.null = nn.Parameter(torch.zeros(embedding), requires_grad=bool(config["dropout"]))
            self.atoms = AtomHead(**atoms, condition=embedding) if atoms else None
            continuous = config["target"] - (atoms["size"] if atoms else 0)
            self.standardizer = Standardizer(continuous)
            self.network: nn.Module = self._make_network(continuous) if continuous else nn.Identity()
