"""Diffusion of pixels as a translator, from text alone or from text and a smaller image."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from dragoman.errors import InputError, PortError
from dragoman.expert import Atoms
from dragoman.knobs import Knob, check_knobs
from dragoman.ports import Port
from dragoman.representation import Representation, Tokens, length, randn_rows
from dragoman.translator import Translator
from dragoman_diffusion.blocks import TIME_FEATURES, time_features
from dragoman_diffusion.health import caption_gap, estimate_strip, loss_by_band
from dragoman_diffusion.lowres import Degraded, crop_rows, degrade, prior_of, shrink
from dragoman_diffusion.options import check_choice, check_known, check_modality, check_range
from dragoman_diffusion.prediction import PREDICTIONS, clean_from, loss_weight, prediction_target
from dragoman_diffusion.published import SIZES
from dragoman_diffusion.sampling import SAMPLERS, denoise
from dragoman_diffusion.schedule import GRID, Schedule
from dragoman_diffusion.text import TextCondition, dropped, empty_like, join_conditions
from dragoman_diffusion.thresholding import dynamic_threshold
from dragoman_diffusion.unet import ATTENTIONS, UNet

__all__ = ["KNOBS", "Diffusion"]

#: What :meth:`Diffusion.sample` takes.
KNOBS = (
    Knob("num_inference_steps", 20, 1, GRID, kind="whole", summary="evaluations of the network"),
    Knob("guidance_scale", 2.0, 0, summary="weight of the condition, 1 for no guidance"),
    Knob("sampler", "dpm++", kind="choice", choices=tuple(SAMPLERS), summary="how noise is removed"),
    Knob("threshold", 0.995, 0, 1, summary="quantile of dynamic thresholding, 0 for clipping alone"),
    Knob("negative", kind="text", summary="what to move away from, in place of the empty condition"),
    Knob("augmentation", 0.1, 0, 1, summary="noise on the smaller image of a super-resolution stage"),
)
#: Guidance of the pictures that are drawn while training.
SKETCH_GUIDANCE = 2.0
#: Knobs that a model can have defaults for; a text would have to be encoded first.
_NUMBERS_AND_CHOICES = tuple(knob for knob in KNOBS if knob.kind != "text")
_DEFAULTS: dict[str, Any] = {knob.name: knob.default for knob in KNOBS}


class Diffusion(Translator):
    """Images by denoising, given tokens or a vector (Saharia et al. 2022, arXiv:2205.11487).

    The condition acts twice: the U-Net attends to its tokens, and their attention-pooled sum is added to the time
    embedding. A share of conditions is dropped in training, so that sampling can be guided.

    With ``low`` it is a super-resolution stage: it also sees a smaller image, enlarged and with noise of a random level
    that it is told (noise-conditioning augmentation), so that it forgives the flaws of the stage before it. The smaller
    image is made from the target in training, so that a stage is trained without the one before it, and passed as
    ``low=`` to :meth:`sample`. Without one, a stage is shown noise of the highest level in its place.

    Args:
        image: channels, height and width of the target.
        features: size of a token, or of the vector, at the source port.
        low: height and width of the smaller image, or ``None``.
        crop: side of the square that a super-resolution stage is trained on, 0 for the whole image.
        widths: channels of each level of the U-Net.
        layers: residual blocks of each level.
        attends: which levels attend to the tokens.
        head: channels of an attention head.
        patch: side of the squares of pixels that the network takes as one position with so many more channels, as in
            Hoogeboom et al. 2023 (arXiv:2301.11093): cheaper by nearly its square.
        text_width: size of the projected tokens.
        attention: ``"cross"``, or ``"concat"`` to put text keys beside the image's own.
        scaled_skips: whether residual sums are divided by the root of 2.
        schedule: ``"cosine"`` or ``"linear"``.
        timesteps: number of discrete times in training, 0 for continuous time.
        prediction: ``"epsilon"``, ``"sample"``, ``"v_prediction"``, or ``"residual"``, which for a super-resolution
            stage is what the smaller image and the noisy one together do not say yet.
        min_snr: gamma of the min-SNR weights, 0 for none.
        dropout: share of conditions that are dropped in training.
        defaults: values of knobs that become this model, in place of those of :data:`KNOBS`.
    """

    def __init__(
        self,
        *,
        image: Sequence[int],
        features: int,
        low: Sequence[int] | None = None,
        crop: int = 0,
        widths: Sequence[int] = (32, 64),
        layers: Sequence[int] = (1, 1),
        attends: Sequence[bool] = (False, True),
        head: int = 16,
        patch: int = 1,
        text_width: int = 64,
        attention: str = "cross",
        scaled_skips: bool = False,
        schedule: str = "cosine",
        timesteps: int = 0,
        prediction: str = "v_prediction",
        min_snr: float = 5.0,
        dropout: float = 0.1,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            {
                "image": list(image),
                "features": features,
                "low": None if low is None else list(low),
                "crop": crop,
                "widths": list(widths),
                "layers": list(layers),
                "attends": list(attends),
                "head": head,
                "patch": patch,
                "text_width": text_width,
                "attention": attention,
                "scaled_skips": scaled_skips,
                "schedule": schedule,
                "timesteps": timesteps,
                "prediction": prediction,
                "min_snr": min_snr,
                "dropout": dropout,
                "defaults": check_knobs(defaults or {}, _NUMBERS_AND_CHOICES, "diffusion"),
            }
        )
        _check_options(self.config)
        self.schedule, self.low = Schedule(schedule, timesteps), tuple(low) if low else None
        self.text = TextCondition(features, text_width)
        channels = image[0]
        self.network = UNet(
            channels=(channels * (2 if low else 1), channels),
            widths=widths,
            layers=layers,
            attends=attends,
            head=head,
            patch=patch,
            attention=attention,
            tokens=text_width,
            vector=text_width + (TIME_FEATURES if low else 0),
            scaled_skips=scaled_skips,
        )

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        """A fresh translator between two ports.

        Args:
            source: gives tokens or a vector.
            target: takes images of fixed size.
            **options: ``size`` (a key of :data:`~dragoman_diffusion.published.SIZES`) and arguments of the class, which
                win over the size.

        Raises:
            PortError: the ports are of other kinds, or leave their sizes open.
            InputError: an option is unknown or out of range.
        """
        check_modality(source, ("vector", "tokens"), "diffusion", "takes")
        check_modality(target, ("image",), "diffusion", "gives")
        size = options.pop("size", "default")
        if size not in SIZES:
            raise InputError(f"diffusion has no size {size!r}; its sizes are {', '.join(SIZES)}.")
        (features,), image = _fixed(source, source.shape[-1:]), _fixed(target, target.shape)
        known = set(_options(cls))
        check_known(options, known, "diffusion")
        return cls(image=image, features=features, **{**SIZES[size], **options})

    def initialize(self, target: Tensor, condition: Representation, atoms: Atoms | None = None) -> None:
        """Measure the tokens' statistics; images are in [0, 1] already.

        Raises:
            InputError: the batches do not have the sizes of the ports.
        """
        self._check_images(target)
        self.text.initialize(condition)

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """``{"denoising": [B]}``: the weighted squared error of what is predicted, at a random time for each sample.

        Args:
            target: images ``[B, C, H, W]`` in [0, 1].
            condition: their conditions.
            generator: draws times, noise, crops, and the conditions that are dropped.
        """
        t = self.schedule.draw(len(target), generator)
        tokens = dropped(self.text.checked(condition), self.config["dropout"], generator)
        return {"denoising": self.denoising(target, tokens, t, generator)}

    def denoising(
        self, target: Tensor, condition: Representation, t: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The loss at given times ``[B]``, with nothing dropped, ``[B]``; what health signals are made of."""
        self._check_images(target)
        clean = 2 * target.to(self.text.start) - 1
        degraded = None if self.low is None else self._degraded(clean, generator)
        if degraded is not None and self.config["crop"]:
            clean, enlarged = crop_rows((clean, degraded.images), self.config["crop"], generator)
            degraded = Degraded(enlarged, degraded.level)
        place = generator.device if generator is not None else None
        noise = torch.randn(clean.shape, generator=generator, device=place).to(clean)
        t = t.to(clean)
        alpha, sigma = (value.view(-1, 1, 1, 1) for value in self.schedule.alpha_sigma(t))
        kind = self.config["prediction"]
        predicted = self._network(alpha * clean + sigma * noise, t, self.text(condition), degraded)
        prior = degraded and prior_of(degraded, self.schedule)
        wanted = prediction_target(kind, clean, noise, alpha, sigma, prior)
        error = (predicted.float() - wanted).square().mean(dim=(1, 2, 3))
        return error * loss_weight(kind, alpha, sigma, self.config["min_snr"], prior).flatten()

    def knobs(self) -> tuple[Knob, ...]:
        """Of :data:`KNOBS` those that this stage has, with its defaults: only a super-resolution stage is augmented."""
        own = (knob for knob in KNOBS if self.low is not None or knob.name != "augmentation")
        return tuple(replace(knob, default=self.config["defaults"].get(knob.name, knob.default)) for knob in own)

    def signals(self, target: Tensor, condition: Representation) -> dict[str, float]:
        """``loss.LOW-HIGH`` for each fifth of the noise levels, and ``captions.*`` with right and wrong conditions."""
        by_band = loss_by_band(self, target, condition)
        found = {f"loss.{band}": value for band, value in by_band.items()}
        if len(target) > 1:
            found |= {f"captions.{name}": value for name, value in caption_gap(self, target, condition).items()}
        return found

    def sketch(self, target: Tensor, condition: Representation) -> Tensor:
        """Estimates of the image along the way from noise, and the target itself as the last of each row."""
        low = None if self.low is None else shrink(target, self.low)
        scale = SKETCH_GUIDANCE if self.config["dropout"] else 1.0
        strip = estimate_strip(self, condition, low=low, guidance_scale=scale).to(target)
        columns = strip.view(len(target), -1, *target.shape[1:])
        return torch.cat([columns, target.unsqueeze(1)], dim=1).flatten(0, 1)

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        low: Tensor | None = None,
        trace: list[Tensor] | None = None,
        **knobs: Any,
    ) -> Tensor:
        """One image for each condition, ``[B, C, H, W]`` in [0, 1].

        Args:
            condition: a batch of conditions.
            generator: source of randomness, read row by row.
            temperature: standard deviation of the noise from which an image begins; below 1 images are blander.
            low: smaller images ``[B, C, h, w]`` in [0, 1], for a super-resolution stage; without them it sees noise.
            trace: gets the estimate of the images, in [0, 1], at each evaluation.
            **knobs: of :data:`KNOBS`. ``guidance_scale`` is w in ``w f(x, c) + (1 - w) f(x, n)``, 1 for no guidance,
                where n is ``negative``, one condition for all or one for each, or without it the empty one.
                ``threshold`` is the quantile of dynamic thresholding, 0 for clipping at 1 alone. ``augmentation`` in
                [0, 1] is how much noise the smaller image gets.

        Raises:
            InputError: a knob is unknown or out of range, or the smaller images are of another size.
        """
        noise = randn_rows(length(condition), self.noise_size, generator)
        return self.sample_from(noise, condition, temperature=temperature, low=low, trace=trace, **knobs)

    @property
    def noise_size(self) -> int:
        """Standard normal numbers that one image is made of."""
        pixels: int = math.prod(self.config["image"])
        return pixels * (1 if self.low is None else 2)

    def sample_from(
        self,
        noise: Tensor,
        condition: Representation,
        *,
        temperature: float = 1.0,
        low: Tensor | None = None,
        trace: list[Tensor] | None = None,
        **knobs: Any,
    ) -> Tensor:
        """Images from noise ``[B, noise_size]`` that the caller has drawn; see :meth:`sample`."""
        check_known(knobs, _DEFAULTS, "diffusion", "knob")
        chosen = {**_DEFAULTS, **self.config["defaults"], **knobs}
        self._check_knobs(chosen, temperature)
        noise = noise.to(self.text.start).view(len(noise), -1, *self.config["image"])
        degraded = self._given(low, noise, chosen["augmentation"])
        denoiser = self._denoiser(condition, degraded, chosen)
        steps, sampler = chosen["num_inference_steps"], chosen["sampler"]
        estimates: list[Tensor] = []
        image = denoise(denoiser, temperature * noise[:, 0], self.schedule, sampler, steps, estimates)
        if trace is not None:
            trace += [(estimate + 1) / 2 for estimate in estimates]
        return ((image + 1) / 2).clamp(0, 1)

    def _denoiser(
        self, condition: Representation, degraded: Degraded | None, chosen: Mapping[str, Any]
    ) -> Callable[[Tensor, Tensor], Tensor]:
        scale, kind = chosen["guidance_scale"], self.config["prediction"]
        tokens, prior = self.text.checked(condition), degraded and prior_of(degraded, self.schedule)
        if scale != 1:
            tokens = join_conditions(tokens, self._negative(tokens, chosen["negative"]))
            degraded = degraded and Degraded(degraded.images.repeat(2, 1, 1, 1), degraded.level.repeat(2))
        described = self.text(tokens)

        def estimate(x: Tensor, t: Tensor) -> Tensor:
            if scale == 1:
                predicted = self._network(x, t, described, degraded)
            else:
                both = self._network(x.repeat(2, 1, 1, 1), t.repeat(2), described, degraded)
                predicted = torch.lerp(both[len(x) :], both[: len(x)], scale)
            alpha, sigma = (value.view(-1, 1, 1, 1) for value in self.schedule.alpha_sigma(t))
            return dynamic_threshold(clean_from(kind, predicted, x, alpha, sigma, prior), chosen["threshold"])

        return estimate

    def _negative(self, tokens: Tokens, negative: Representation | None) -> Tokens:
        if negative is None:
            return empty_like(tokens)
        given, rows = self.text.checked(negative), len(tokens.mask)
        if len(given.mask) == 1:
            given = Tokens(given.values.expand(rows, -1, -1), given.mask.expand(rows, -1))
        if len(given.mask) != rows:
            raise InputError(
                f"negative must be one condition, or {rows} as there are conditions, not {len(given.mask)}."
            )
        return given

    def _network(self, x: Tensor, t: Tensor, described: tuple[Tokens, Tensor], degraded: Degraded | None) -> Tensor:
        tokens, vector = described
        if degraded is not None:
            x = torch.cat([x, degraded.images], dim=1)
            vector = torch.cat([vector, time_features(degraded.level)], dim=1)
        predicted: Tensor = self.network(x, t, tokens, vector)
        return predicted

    def _degraded(self, clean: Tensor, generator: torch.Generator | None) -> Degraded:
        assert self.low is not None
        place = generator.device if generator is not None else None
        level = torch.rand(len(clean), generator=generator, device=place).to(clean)
        noise = torch.randn(clean.shape, generator=generator, device=place).to(clean)
        return degrade(shrink(clean, self.low), clean.shape[2:], level, noise, self.schedule)

    def _given(self, low: Tensor | None, noise: Tensor, augmentation: float) -> Degraded | None:
        if self.low is None:
            if low is not None:
                raise InputError(
                    "This diffusion makes images from conditions alone; low= is for super-resolution stages."
                )
            return None
        if low is None:
            low, augmentation = noise.new_full((len(noise), self.config["image"][0], *self.low), 0.5), 1.0
        expected = (len(noise), self.config["image"][0], *self.low)
        if low.shape != expected:
            raise InputError(f"low must be images {list(expected)}, not {list(low.shape)}.")
        level = noise.new_full((len(noise),), augmentation)
        return degrade(2 * low.to(noise) - 1, noise.shape[3:], level, noise[:, 1], self.schedule)

    def _check_images(self, target: Tensor) -> None:
        expected = tuple(self.config["image"])
        if tuple(target.shape[1:]) != expected:
            raise InputError(
                f"The target must be images [B, {', '.join(map(str, expected))}], not {list(target.shape)}."
            )

    def _check_knobs(self, chosen: Mapping[str, Any], temperature: float) -> None:
        check_range("temperature", temperature, 0)
        check_range("guidance_scale", chosen["guidance_scale"], 0)
        check_range("threshold", chosen["threshold"], 0, 1)
        check_range("augmentation", chosen["augmentation"], 0, 1)
        if chosen["guidance_scale"] != 1 and chosen["negative"] is None and not self.config["dropout"]:
            raise InputError("This diffusion was trained without dropout; set guidance_scale to 1, or give a negative.")


def _fixed(port: Port, shape: Sequence[int | str]) -> list[int]:
    """Sizes of a port.

    Raises:
        PortError: one is left open.
    """
    sizes = [size for size in shape if isinstance(size, int)]
    if not shape or len(sizes) != len(shape):
        raise PortError(f"The port {port} leaves a size open; load the checkpoint that fixes it.")
    return sizes


def _options(kind: type) -> list[str]:
    """The options of a translator's class beside what its ports decide."""
    return [name for name in inspect.signature(kind).parameters if name not in ("image", "features")]


def _check_options(config: Mapping[str, Any]) -> None:
    check_choice("attention", config["attention"], ATTENTIONS)
    check_choice("prediction", config["prediction"], PREDICTIONS)
    check_range("min_snr", config["min_snr"], 0)
    check_range("dropout", config["dropout"], 0, 0.99)
    check_range("patch", config["patch"], 1, min(config["image"][1:]), whole=True)
    check_range("crop", config["crop"], 0, min(config["image"][1:]), whole=True)
    if config["crop"] and not config["low"]:
        raise InputError("crop is for super-resolution stages: what an image shows is not what its parts show.")
    for side in (*config["image"][1:], *([config["crop"]] if config["crop"] else [])):
        factor = config["patch"] * 2 ** (len(config["widths"]) - 1)
        if side % factor:
            patches = f" on patches of {config['patch']}" if config["patch"] > 1 else ""
            raise InputError(
                f"A U-Net of {len(config['widths'])} levels{patches} needs sides that {factor} divides, not {side}."
            )
