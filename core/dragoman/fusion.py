"""Fusions: experts and a translator joined into one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn

from dragoman.access import AccessOptions, using
from dragoman.candidates import choose, draw_luck
from dragoman.critic import Critic
from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.knobs import Knob, check_knobs
from dragoman.representation import Representation, Tokens, length, select
from dragoman.stores import RemoteStore, locate, store_of
from dragoman.translator import Translator

__all__ = ["Fusion", "load"]

_KNOBS = (
    Knob("temperature", 1.0, 0, summary="scale of the translator's noise: lower is more typical"),
    Knob("truncation", 1.0, 0, 1, summary="variety of the generator against typicality"),
)
_RANKED_KNOBS = (
    Knob("candidates", 1, 1, kind="whole", summary="draws per output, among which the critic chooses"),
    Knob("ranking_temperature", 0.0, 0, summary="0 keeps the best of several candidates; higher is more varied"),
)


class Fusion(nn.Module):
    """``prompt -> source expert -> translator -> target expert -> output``, with an optional critic that ranks.

    Args:
        source: the expert that reads the prompt, and the port that gives the condition.
        translator: samples the target port's representation for a condition.
        target: the expert that renders, and the port that takes.
        ranker: chooses among candidates when more than one is drawn for each output.
        names: names on the cards of the parts, ``{"translator": "cinn", "ranker": ...}``.
        facts: the recipe and what was measured in training; travels with the package.
    """

    def __init__(
        self,
        source: Endpoint,
        translator: Translator,
        target: Endpoint,
        *,
        ranker: Critic | None = None,
        names: dict[str, str] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.source, self.target = source, target
        self.encoder, self.translator, self.decoder, self.ranker = source.expert, translator, target.expert, ranker
        self.names = dict(names or {})
        self.facts = dict(facts or {})
        self._preferred: dict[str, Any] = {}

    def prefer(self, **knobs: Any) -> Self:
        """Choose values of knobs that hold wherever :meth:`sample` is not told otherwise; a package keeps them.

        Raises:
            InputError: there is no such knob, or no such value.
        """
        self._preferred |= check_knobs(knobs, self.knobs(), "This fusion")
        return self

    @classmethod
    def from_pretrained(
        cls,
        address: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        **access: Unpack[AccessOptions],
    ) -> Self:
        """Load a fusion package from a folder, a Hub id, or any installed store.

        Args:
            address: see :func:`load`.
            revision: branch, tag or commit.
            device: where it lives; the CPU when omitted.
            **access: ``token``, ``cache_dir``, ``force_download``, ``local_files_only``, for the package and for its
                experts; see :class:`dragoman.access.Access`.

        Raises:
            PackageError: there is no such package, or it is damaged.
            PluginError: the package needs a plugin that is not installed.
        """
        from dragoman.formats import format_of

        with using(**access):
            location = locate(address, revision)
            fusion = format_of(location).load(location, device=device)
        assert isinstance(fusion, cls)
        return fusion

    def save_pretrained(
        self, folder: str | Path, *, push_to_hub: bool = False, repo_id: str | None = None, **options: Any
    ) -> str | None:
        """Write a package: the translator's weights, and the experts by reference.

        Args:
            folder: where; its name is the heading of a new card.
            push_to_hub: publish it as well.
            repo_id: where to publish; required with ``push_to_hub``.
            **options: as of :meth:`push_to_hub`.

        Returns:
            The URL of the commit, if it was published.

        Raises:
            InputError: something is to be published, and it is not said where.
        """
        from dragoman.formats import default_format

        if push_to_hub and not repo_id:
            raise InputError("Say where to publish: repo_id='NAMESPACE/NAME'.")
        if options and not push_to_hub:
            raise InputError(f"{', '.join(options)} is for publishing; add push_to_hub=True, or leave it out.")
        default_format().save(self, Path(folder))
        return self._publish(Path(folder), str(repo_id), options) if push_to_hub else None

    @torch.no_grad()
    def round_weights(self, dtype: torch.dtype = torch.float16) -> Self:
        """Round the translator's weights to a smaller type; they stay float32, but are stored in half the room."""
        for value in self.translator.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.to(dtype))
        return self

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        create_pr: bool = False,
        **options: Any,
    ) -> str:
        """Publish the fusion by reference: the translator's weights, and where its experts are.

        Args:
            repo_id: ``NAMESPACE/NAME``, created if it does not exist.
            private: whether a new repository is private; the Hub's own default when ``None``.
            token: instead of the one that the machine is logged in with.
            revision: branch; the default one when ``None``.
            commit_message: first line of the commit.
            commit_description: the rest of it.
            create_pr: make a pull request of it.
            **options: the store's own: ``tag``, ``licences`` (by role), ``with_experts`` (a namespace).

        Returns:
            The URL of the commit or pull request. Nothing is sent, and no commit made, if nothing has changed.

        Raises:
            InputError: an expert exists on this machine only, or its licence is unknown.
            PackageError: the Hub refuses, or cannot be reached.
        """
        from tempfile import TemporaryDirectory

        how = {"private": private, "token": token, "revision": revision, "create_pr": create_pr}
        messages = {"commit_message": commit_message, "commit_description": commit_description}
        with TemporaryDirectory(prefix="dragoman-") as folder:
            place = Path(folder) / repo_id.rpartition("/")[2]
            self.save_pretrained(place)
            return self._publish(place, repo_id, {**how, **messages, **options})

    def _publish(self, folder: Path, repo_id: str, options: Mapping[str, Any]) -> str:
        store, name, _ = store_of(repo_id, remote=True)
        assert isinstance(store, RemoteStore)
        return store.publish(folder, name, **options)

    def knobs(self) -> tuple[Knob, ...]:
        """What :meth:`sample` lets one choose, with the values that hold without a choice.

        The fusion's own knobs come first, then the translator's, then the target expert's that neither has.
        """
        found: dict[str, Knob] = {}
        ranked = () if self.ranker is None else _RANKED_KNOBS
        for knob in (*_KNOBS, *ranked, *self.translator.knobs(), *self.decoder.knobs()):
            found.setdefault(knob.name, replace(knob, default=self._preferred.get(knob.name, knob.default)))
        return tuple(found.values())

    @torch.no_grad()
    def sample(
        self,
        prompts: str | Sequence[str] | Tensor | Tokens,
        n: int = 1,
        *,
        generator: torch.Generator | None = None,
        temperature: float | None = None,
        truncation: float | None = None,
        candidates: int | None = None,
        batch_size: int = 64,
        knobs: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> Tensor:
        """Outputs for prompts.

        Temperature, truncation and candidates are knobs like others. Each that is not given has the value that the
        fusion prefers (:meth:`prefer`), else 1.

        Args:
            prompts: one or more non-empty texts; or representations of them at the source port, encoded before.
            n: outputs per prompt.
            generator: source of randomness; a fresh one seeded with 0 when omitted.
            temperature: scale of the translator's noise; 1 is the learned distribution.
            truncation: the target expert's trade of variety for typicality, in (0, 1].
            candidates: draws per output, of which the ranker keeps the best; with the knob ``ranking_temperature`` t
                above 0 one of them, each with a chance in proportion to ``exp(score / t)``. Where scores are
                log-probabilities that a draw fits, that is sampling-importance-resampling (Rubin 1987): it approaches
                what the translator draws, given that it fits.
            batch_size: draws that go through the experts at once; no influence on the result.
            knobs: values by name, of :meth:`knobs`, such as ``{"guidance_scale": 4}``; a knob that is a text is encoded
                like a prompt.
            **named: knobs as keyword arguments.

        Returns:
            Float ``[len(prompts) * n, C, H, W]`` in [0, 1], the ``n`` outputs of a prompt next to each other.

        Raises:
            InputError: a prompt is empty, a number is out of range, there is no such knob, or candidates are asked for
                without a ranker.
        """
        numbers = {"temperature": temperature, "truncation": truncation, "candidates": candidates}
        asked = {**{name: value for name, value in numbers.items() if value is not None}, **(knobs or {}), **named}
        chosen = self._settled(asked)
        size, ranking = chosen.pop("candidates", 1), chosen.pop("ranking_temperature", 0.0)
        _check_sizes(n, batch_size)
        generator = generator if generator is not None else torch.Generator().manual_seed(0)
        condition = self._encoded(prompts)
        drawing, rendering = self._knobs_by_part(chosen)
        rows = [row for row in range(length(condition)) for _ in range(n)]
        luck = draw_luck(len(rows), size, generator, ranking)
        outputs = []
        for part, part_luck in zip(_chunks(rows, batch_size), luck.split(batch_size), strict=True):
            each = [row for row in part for _ in range(size)]
            latents = [
                self.translator.sample(select(condition, some), generator=generator, **drawing)
                for some in _chunks(each, batch_size)
            ]
            outputs.append(self._render(torch.cat(latents), select(condition, part), part_luck, rendering))
        return torch.cat(outputs)

    def _settled(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Values of knobs: what is asked for, else what the fusion prefers, else, for its own knobs, their defaults."""
        asked = dict(asked)
        if self.ranker is None and asked.pop("candidates", 1) != 1:
            raise InputError("This fusion has no critic to rank candidates; leave candidates at 1.")
        asked = check_knobs(asked, self.knobs(), "This fusion")
        chosen = {"temperature": 1.0, "truncation": 1.0, **self._preferred, **asked}
        if not chosen["truncation"]:
            raise InputError("truncation must be above 0; the least varied outputs are near it.")
        if asked.get("ranking_temperature") and chosen.get("candidates", 1) == 1:
            raise InputError("ranking_temperature chooses among candidates; ask for two or more of them.")
        for name in {knob.name for knob in self.knobs() if knob.kind == "text"} & chosen.keys():
            if isinstance(chosen[name], str):
                chosen[name] = self.encoder.encode([chosen[name]], self.source.port.name)
        return chosen

    def _knobs_by_part(self, chosen: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Knobs for the translator, and those for the target expert that the translator has not."""
        drawing, rendering = ({knob.name for knob in part.knobs()} for part in (self.translator, self.decoder))
        drawing, rendering = drawing | {"temperature"}, rendering - drawing | {"truncation"}
        return (
            {name: value for name, value in chosen.items() if name in drawing},
            {name: value for name, value in chosen.items() if name in rendering},
        )

    def _encoded(self, prompts: str | Sequence[str] | Tensor | Tokens) -> Representation:
        if isinstance(prompts, Tensor | Tokens):
            return prompts
        return self.encoder.encode(_checked_prompts(prompts), self.source.port.name)

    def _render(self, latent: Tensor, condition: Representation, luck: Tensor, knobs: dict[str, Any]) -> Tensor:
        """Outputs for B conditions; of ``latent [B * candidates, ...]`` those that score and ``luck`` choose."""
        candidates = luck.shape[1]
        if self.ranker is None or candidates == 1:
            return self.decoder.decode(latent, self.target.port.name, **knobs)
        ranker = self.ranker

        def look(rows: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor]:
            which = (rows * candidates + candidate).to(latent.device)
            outputs = self.decoder.decode(latent[which], self.target.port.name, **knobs)
            return outputs, ranker.score(outputs, select(condition, rows.tolist()))

        return choose(look, luck, ranker.ceiling)


def load(
    address: str | Path,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    **access: Unpack[AccessOptions],
) -> Fusion:
    """Load a fusion: a folder, a Hub id ``ns/name[@revision]``, or what an installed store offers.

    ``access`` is ``token``, ``cache_dir``, ``force_download`` and ``local_files_only``, as everywhere on the Hub.

    Raises:
        PackageError: there is no such package, or it is damaged.
        PluginError: the package needs a plugin that is not installed.
    """
    return Fusion.from_pretrained(address, revision=revision, device=device, **access)


def _chunks(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _check_sizes(n: int, batch_size: int) -> None:
    for name, value in (("n", n), ("batch_size", batch_size)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, not {value}.")


def _checked_prompts(prompts: str | Sequence[str]) -> list[str]:
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not texts:
        raise InputError("No prompt was given; pass at least one text.")
    for position, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise InputError(f"Prompt {position} is {text!r}; prompts are texts.")
        if not text.strip():
            raise InputError(f"Prompt {position} is empty; describe what to make.")
    return texts
