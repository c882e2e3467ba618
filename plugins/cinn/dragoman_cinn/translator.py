"""The conditional invertible network as a translator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import torch
from torch import Tensor

from dragoman.errors import InputError, PortError
from dragoman.expert import Atoms
from dragoman.knobs import Knob, check_knobs
from dragoman.ports import Port
from dragoman.representation import Representation, randn_rows
from dragoman.translator import Translator
from dragoman_cinn.acceptance import Acceptance
from dragoman_cinn.atoms import AtomHead, describe_atoms
from dragoman_cinn.conditioner import Conditioner, ConditionerFactory, ResidualConditioner, SeparateConditioner
from dragoman_cinn.distinct import distinct_runs
from dragoman_cinn.embedder import build_embedder, describe_condition
from dragoman_cinn.flow import ConditionalFlow, gaussian_nll
from dragoman_cinn.ridge import RidgeMaps
from dragoman_cinn.standardizer import Standardizer

__all__ = ["CINN", "SIZES"]

P = ParamSpec("P")
R = TypeVar("R")

#: Options of :meth:`CINN.build` by name.
SIZES: dict[str, dict[str, Any]] = {
    "default": {},
    "large": {"depth": 8, "width": 384, "embedding": 256},
    "paper": {
        "conditioner": "separate",
        "depth": 24,
        "width": 1024,
        "layers": 2,
        "embedding": 268,
        "embedder_width": 256,
        "embedder_layers": 3,
        "clamp": 1.0,
        "ridges": 0,
    },
}
#: The smallest value of each numeric option.
_SMALLEST: dict[str, float] = {
    "depth": 1,
    "width": 1,
    "layers": 0,
    "embedding": 1,
    "embedder_width": 1,
    "embedder_layers": 0,
    "clamp": 0.01,
    "ridges": 0,
    "atom_temperature": 0,
    "acceptance": 0,
    "seed": 0,
}
#: Draws of the flow among which the acceptance chooses one.
PROPOSALS = 4
_CONDITIONERS: dict[str, type[Conditioner]] = {"residual": ResidualConditioner, "separate": SeparateConditioner}


def _full_precision(method: Callable[Concatenate[CINN, P], R]) -> Callable[Concatenate[CINN, P], R]:
    """Run outside autocast: with bfloat16 networks the inverse is off by up to 0.3."""

    @wraps(method)
    def run(self: CINN, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast(self.target_standardizer.mean.device.type, enabled=False):
            return method(self, *args, **kwargs)

    return run


class CINN(Translator):
    """A conditional normalizing flow from the representation at a source port to the vectors at a target port.

    The flow maps a target ``x`` to a residual ``v`` that is standard normal whatever the condition: what the condition
    does not say about ``x``. Inverted, it samples.

    Coordinates that take only a few values (atoms) have no density. They get a categorical distribution given the
    condition, and the flow models the other coordinates given condition and atom.

    Args:
        target: size D of the target.
        condition: kind and size of the condition, as :func:`~dragoman_cinn.embedder.describe_condition` says it.
        atoms: ``start``, ``count`` and ``size`` of the target's discrete coordinates, if any.
        conditioner: ``"residual"``, or ``"separate"`` for the published networks.
        depth: number of blocks, each with two half couplings.
        width: width of the conditioners.
        layers: hidden layers of the conditioners.
        embedding: size of the embedded condition.
        embedder_width: width of the condition embedder.
        embedder_layers: hidden layers of the condition embedder.
        clamp: bound of a coupling's log-scale.
        ridges: number of ridge maps before the couplings.
        atom_temperature: temperature of the atoms' distribution when sampling. Below 1 a second guess is made less
            often than it is believed in; likelihoods stay as they are.
        seed: seed of the permutations and of the first weights.

    Attributes:
        config: the arguments above; :meth:`initialize` adds the atoms.
    """

    initialized: Tensor

    def __init__(
        self,
        *,
        target: int,
        condition: Mapping[str, Any],
        atoms: Mapping[str, int] | None = None,
        conditioner: str = "residual",
        depth: int = 4,
        width: int = 192,
        layers: int = 1,
        embedding: int = 128,
        embedder_width: int = 256,
        embedder_layers: int = 2,
        clamp: float = 2.0,
        ridges: int = 6,
        atom_temperature: float = 0.5,
        acceptance: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            {
                "target": target,
                "condition": dict(condition),
                "atoms": None if atoms is None else dict(atoms),
                "conditioner": conditioner,
                "depth": depth,
                "width": width,
                "layers": layers,
                "embedding": embedding,
                "embedder_width": embedder_width,
                "embedder_layers": embedder_layers,
                "clamp": clamp,
                "ridges": ridges,
                "atom_temperature": atom_temperature,
                "acceptance": acceptance,
                "seed": seed,
            }
        )
        self.register_buffer("initialized", torch.tensor(False))
        self._make()

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        """A fresh translator between two ports.

        Args:
            source: gives the condition: a vector, tokens, a map or an image.
            target: takes vectors of fixed size.
            **options: ``size`` (a key of :data:`SIZES`) and arguments of the class, which win over the size; ``seed``
                is that of torch's global generator when omitted.

        Raises:
            PortError: the ports are of other kinds, or leave their sizes open.
            InputError: an option is unknown or out of range.
        """
        size = options.pop("size", "default")
        if size not in SIZES:
            raise InputError(f"cinn has no size {size!r}; its sizes are {', '.join(SIZES)}.")
        chosen = {"seed": torch.initial_seed() % 2**31, **SIZES[size], **options}
        _check_options(chosen)
        return cls(target=_vector_size(target), condition=describe_condition(source), **chosen)

    def initialize(self, target: Tensor, condition: Representation, atoms: Atoms | None = None) -> None:
        """Measure statistics and first scales on a large batch, and learn which coordinates are discrete.

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
            raise InputError("A cinn cannot be initialised from no pairs; give it at least one, better a thousand.")
        if atoms is not None:
            self._take(atoms)
        with torch.no_grad():
            self.embedder.initialize(condition)
            continuous, index = self._split(target)
            self.target_standardizer.measure(continuous)
            embedded = self._inform(self._embed(condition), index)
            self.flow.initialize(self.target_standardizer(continuous), self.flow.project(embedded))
            self.initialized.fill_(True)

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """``{"nll": [B]}``: the negative of :meth:`log_prob`; may run under bfloat16 autocast.

        Args:
            target: ``[B, D]``.
            condition: the conditions of the same samples.
            generator: not used: the likelihood is exact.
        """
        return {"nll": self._nll(target, condition)}

    def declined_losses(self, target: Tensor, declined: Tensor) -> dict[str, Tensor]:
        """``{"acceptance": [B]}``: how badly accepted targets are told from declined ones, in nats.

        Args:
            target: accepted targets ``[B, D]``.
            declined: as many declined ones.
        """
        if self.acceptance is None:
            return {}
        log_odds = self._accept(*self._split(torch.cat([target, declined])))
        return {"acceptance": self.acceptance.losses(*log_odds.chunk(2))}

    def knobs(self) -> tuple[Knob, ...]:
        """``proposals``, if there is an acceptance that chooses among them."""
        if self.acceptance is None:
            return ()
        summary = "draws of the flow among which its acceptance chooses one; 1 is the flow alone"
        return (Knob("proposals", PROPOSALS, 1, kind="whole", summary=summary),)

    @_full_precision
    def log_prob(self, target: Tensor, condition: Representation) -> Tensor:
        """``log p(target | condition)`` in nats, ``[B]``, in the target's own units, with all constants.

        With atoms it is the log-probability of the atom plus the log-density of the other coordinates given the atom.
        """
        return -self._nll(target, condition)

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """One draw for each condition, ``[B, D]``; may run under bfloat16 autocast. Gradients flow, except to atoms.

        Args:
            condition: a batch of conditions.
            generator: source of randomness, read row by row.
            temperature: standard deviation of the residual, and a factor of the atoms' temperature; 0 gives the image
                of the most likely residual, and the most likely atom.
            **knobs: those of :meth:`knobs`.

        Raises:
            InputError: the temperature is negative, or there is no such knob.
        """
        if temperature < 0:
            raise InputError(f"temperature must be >= 0, not {temperature}.")
        proposals = check_knobs(knobs, self.knobs(), "cinn").get("proposals", PROPOSALS if self.acceptance else 1)
        embedded, size = self._embed_runs(condition), self.flow.size
        chances = bool(self.atoms) + (proposals > 1)
        noise = randn_rows(len(embedded), proposals * size + chances, generator).to(embedded.device)
        index = None
        if self.atoms is not None:
            sharpness = temperature * self.config["atom_temperature"]
            index = self.atoms.draw(embedded, torch.special.ndtr(noise[:, -1]), sharpness)
        residual = temperature * noise[:, : proposals * size].reshape(len(noise) * proposals, size)
        if proposals == 1:
            return self._decode(residual, embedded, index)
        among = embedded.repeat_interleave(proposals, 0), None if index is None else index.repeat_interleave(proposals)
        return self._chosen(self._decode(residual, *among), proposals, torch.special.ndtr(noise[:, -chances]))

    @_full_precision
    def residual(self, rep: Tensor, condition: Representation) -> Tensor:
        """What the condition does not say about a representation.

        Args:
            rep: ``[B, D]``.
            condition: the conditions that go with it.

        Returns:
            ``[B, D]``; with atoms of size d ``[B, D - d + 2]``, the last two columns being the atom's index and
            whether the condition explains the atom (1 or 0).
        """
        continuous, index = self._split(rep)
        embedded = self._embed(condition)
        projections = self.flow.project(self._inform(embedded, index))
        v: Tensor = self.flow(self.target_standardizer(continuous), projections)[0]
        if self.atoms is None or index is None:
            return v
        return torch.cat([v, torch.stack([index, self.atoms.explains(embedded, index)], dim=1).to(v)], dim=1)

    @_full_precision
    def restore(self, residual: Tensor, condition: Representation) -> Tensor:
        """The representation with that residual under a condition: the inverse of :meth:`residual`.

        Under another condition than its own an atom may be exchanged (see :meth:`transfer`).

        Args:
            residual: as :meth:`residual` returns it.
            condition: a batch of conditions.

        Returns:
            ``[B, D]``.
        """
        embedded = self._embed(condition)
        residual = residual.to(embedded)
        if self.atoms is None:
            return self._decode(residual, embedded, None)
        v, index, explained = residual[:, :-2], residual[:, -2].long(), residual[:, -1].bool()
        return self._decode(v, embedded, self.atoms.exchange(embedded, index, explained))

    def transfer(self, rep: Tensor, from_condition: Representation, to_condition: Representation) -> Tensor:
        """Keep the residual, exchange the condition: edits attributes, translates domains, transfers appearance.

        An atom is exchanged for the most likely one of ``to_condition`` if ``from_condition`` explains it and
        ``to_condition`` does not; otherwise it is kept. With equal conditions ``rep`` comes back.

        Args:
            rep: ``[B, D]``.
            from_condition: the conditions that describe ``rep``.
            to_condition: the conditions that the result shall fit.

        Returns:
            ``[B, D]``.
        """
        return self.restore(self.residual(rep, from_condition), to_condition)

    def _nll(self, target: Tensor, condition: Representation) -> Tensor:
        continuous, index = self._split(target)
        embedded = self._embed(condition)
        projections = self.flow.project(self._inform(embedded, index))
        v, log_det = self.flow(self.target_standardizer(continuous), projections)
        nll: Tensor = gaussian_nll(v) - log_det - self.target_standardizer.log_det()
        if self.atoms is None or index is None:
            return nll
        return nll - self.atoms.log_probability(embedded).gather(1, index.unsqueeze(1)).squeeze(1)

    def _embed_runs(self, condition: Representation) -> Tensor:
        """Embed each run of equal conditions once: a prompt is often sampled many times."""
        if isinstance(condition, list):
            return self._embed(condition)
        distinct, run = distinct_runs(condition)
        return self._embed(distinct)[run]

    def _embed(self, condition: Representation) -> Tensor:
        embedded: Tensor = self.embedder(condition)
        return embedded

    def _decode(self, v: Tensor, embedded: Tensor, index: Tensor | None) -> Tensor:
        standardized = self.flow.inverse(v, self.flow.project(self._inform(embedded, index)))
        continuous = self.target_standardizer.inverse(standardized)
        return continuous if self.atoms is None or index is None else self.atoms.join(continuous, index)

    def _accept(self, continuous: Tensor, index: Tensor | None) -> Tensor:
        assert self.acceptance is not None
        log_odds: Tensor = self.acceptance(self.target_standardizer(continuous), index)
        return log_odds

    def _chosen(self, drawn: Tensor, proposals: int, uniform: Tensor) -> Tensor:
        """One of each ``proposals`` rows, chosen by the acceptance."""
        log_odds = self._accept(*self._split(drawn)).view(-1, proposals)
        rows = torch.arange(len(log_odds), device=drawn.device)
        return drawn.view(-1, proposals, drawn.shape[1])[rows, Acceptance.choose(log_odds, uniform)]

    def _split(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        size = self.config["target"]
        if target.shape[1:] != (size,):
            raise InputError(f"The target must be a tensor [B, {size}], not {list(target.shape)}.")
        target = target.to(self.target_standardizer.mean)
        return (target, None) if self.atoms is None else self.atoms.split(target)

    def _inform(self, embedded: Tensor, index: Tensor | None) -> Tensor:
        return embedded if self.atoms is None or index is None else self.atoms.inform(embedded, index)

    def _take(self, atoms: Atoms) -> None:
        description = describe_atoms(atoms, self.config["target"])
        if self.config["atoms"] != description:
            device = self.target_standardizer.mean.device
            self.config["atoms"] = description
            self._make()
            self.to(device)
        assert self.atoms is not None
        self.atoms.initialize(atoms)

    def _make(self) -> None:
        config = self.config
        with torch.random.fork_rng(devices=[]):
            generator = torch.default_generator.manual_seed(config["seed"])
            embedding, atoms = config["embedding"], config["atoms"]
            self.embedder = build_embedder(
                config["condition"], config["embedder_width"], config["embedder_layers"], embedding
            )
            self.atoms = AtomHead(**atoms, condition=embedding) if atoms else None
            continuous = config["target"] - (atoms["size"] if atoms else 0)
            self.target_standardizer = Standardizer(continuous)
            # Nothing flows where all coordinates are discrete.
            depth, count = (config["depth"], config["ridges"]) if continuous else (0, 0)
            clamp = config["clamp"]
            ridges = RidgeMaps(continuous, embedding, count, clamp) if count else None
            self.flow = ConditionalFlow(continuous, depth, self._conditioner(), clamp, generator, ridges)
            width = config["acceptance"] if continuous else 0
            self.acceptance = Acceptance(continuous, atoms["count"] if atoms else 1, width) if width else None

    def _conditioner(self) -> ConditionerFactory:
        config = self.config
        return partial(
            _CONDITIONERS[config["conditioner"]],
            condition=config["embedding"],
            width=config["width"],
            layers=config["layers"],
        )


def _vector_size(target: Port) -> int:
    if target.modality != "vector" or len(target.shape) != 1 or isinstance(target.shape[0], str):
        raise PortError(f"A cINN samples vectors of fixed size, not the port {target}.")
    return target.shape[0]


def _check_options(options: Mapping[str, Any]) -> None:
    unknown = set(options) - {"conditioner", *_SMALLEST}
    if unknown:
        known = ", ".join(["size", "conditioner", *_SMALLEST])
        raise InputError(f"cinn has no option {min(unknown)!r}; its options are {known}.")
    if options.get("conditioner", "residual") not in _CONDITIONERS:
        raise InputError(f"cinn has no conditioner {options['conditioner']!r}; write 'residual' or 'separate'.")
    for name, smallest in _SMALLEST.items():
        if options.get(name, smallest) < smallest:
            raise InputError(f"{name} must be at least {smallest}, not {options[name]}.")
