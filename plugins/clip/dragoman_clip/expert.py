"""The expert: images and texts to their common embeddings, and to the hidden states of either tower."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional

from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.pretrained import quiet
from dragoman.representation import Representation, Tokens
from dragoman.texts import encode_texts, pad
from dragoman.weights import read_json
from dragoman_clip.checkpoint import load_network, load_tokenizer, sizes_of
from dragoman_clip.library import PreTrainedModel
from dragoman_clip.preprocessing import Preprocessing, read_preprocessor

__all__ = ["Clip"]

#: Ports that read texts; all others read images.
TEXT, TOKENS, HIDDEN = "text", "tokens", "hidden."
IMAGE, PATCHES = "image", "patches"


class Clip(Expert):
    """CLIP (Radford et al. 2021, arXiv:2103.00020) or SigLIP (Zhai et al. 2023, arXiv:2303.15343).

    Ports, all float32 whatever the type of the weights. Of texts, without gradients:

    - ``text``: the embedding, of unit norm as the model compares it;
    - ``tokens``: all last hidden states of the text tower, after its final normalisation;
    - ``hidden.K``: all hidden states after layer ``K``; ``hidden.0`` is what the embeddings give to the first layer.

    Of images, with gradients to the images:

    - ``image``: the embedding, of unit norm as the model compares it;
    - ``patches``: the last hidden states of the patches as a map ``[B, D, rows, columns]``, channels first, without
      the class token; SigLIP's are normalised, CLIP's are not, as in transformers;
    - ``patches.K``: the patches after layer ``K``; ``patches.0`` is what the embeddings give to the first layer.

    Images may have any size and one or three channels; they are prepared as the checkpoint's image processor does it.
    A network of grey images (``num_channels: 1``) sees the luma of colour images. A small pair is trained as
    ``CLIPModel(CLIPConfig(...))`` and becomes an expert by ``Clip(config, network, tokenizer, preprocessor).freeze()``.

    Args:
        config: content of the checkpoint's ``config.json``.
        network: both towers.
        tokenizer: splits texts into tokens.
        preprocessor: content of the checkpoint's ``preprocessor_config.json``.

    Attributes:
        network: both towers.
        tokenizer: the tokenizer.
        max_tokens: longest text in tokens, special ones included; longer ones are cut, with a
            :class:`~dragoman.texts.TruncationWarning`.
        preprocessing: what happens to images first.
    """

    reads: ClassVar[str] = "text"
    #: Texts that go through the tower at once; no influence on the result.
    batch_size: ClassVar[int] = 64

    def __init__(
        self, config: Mapping[str, Any], network: PreTrainedModel, tokenizer: Any, preprocessor: Mapping[str, Any]
    ) -> None:
        super().__init__(config)
        self.network, self.tokenizer, self.preprocessor = network, tokenizer, dict(preprocessor)
        sizes = sizes_of(config)
        self.preprocessing = Preprocessing.from_config(preprocessor, sizes.channels, sizes.image)
        positions = int(network.config.text_config.max_position_embeddings)
        self.max_tokens = min(positions, int(tokenizer.model_max_length))

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint in the layout of transformers; see :meth:`from_pretrained`.

        Raises:
            PackageError: files are missing, damaged, or of another architecture.
        """
        config = read_json(folder / cls.config_name, "CLIP checkpoint")
        sizes_of(config)
        preprocessor = read_preprocessor(folder, config["model_type"])
        network = load_network(folder, config)
        return cls(config, network, load_tokenizer(folder, network), preprocessor)

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint.

        Raises:
            PackageError: the configuration is of another architecture.
        """
        sizes = sizes_of(config)
        tokens, grid = ("tokens", sizes.text_width), (sizes.width, sizes.grid, sizes.grid)

        def port(name: str, modality: str, shape: tuple[int | str, ...], summary: str) -> Port:
            scale = "unit norm" if modality == "vector" else "not normalised"
            return Port(name, modality, shape, normalisation=scale, gives=True, summary=summary)

        ports = [
            port(TEXT, "vector", (sizes.embedding,), "of texts"),
            port(IMAGE, "vector", (sizes.embedding,), "of images"),
            port(TOKENS, "tokens", tokens, "of texts, all tokens"),
            port(PATCHES, "map", grid, "of images"),
        ]
        ports += [
            port(f"{HIDDEN}{k}", "tokens", tokens, f"of texts, after layer {k}") for k in range(sizes.text_layers + 1)
        ]
        ports += [port(f"{PATCHES}.{k}", "map", grid, f"of images, after layer {k}") for k in range(sizes.layers + 1)]
        return {port.name: port for port in ports}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights, tokenizer and preprocessing; :meth:`from_pretrained` and transformers read them back."""
        target = Path(folder)
        with quiet():
            self.network.save_pretrained(target)
            self.tokenizer.save_pretrained(target)
        (target / "preprocessor_config.json").write_text(json.dumps(self.preprocessor, indent=2), encoding="utf-8")

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """Texts or images to the representation at a port.

        Args:
            inputs: list of str for ``text``, ``tokens`` and ``hidden.K``; images, float ``[B, 1 or 3, H, W]`` in
                [0, 1], for ``image``, ``patches`` and ``patches.K``.
            port: name of a port.
            generator: not used; an encoder's answer is no draw.

        Returns:
            Float32 ``[B, D]``, ``[B, D, rows, columns]``, or :class:`~dragoman.representation.Tokens`.

        Raises:
            PortError: there is no such port.
            InputError: the inputs are not what the port reads.
        """
        self.port(port)
        return self._texts(inputs, port) if _reads_texts(port) else self._images(inputs, [port])[port]

    def encode_many(self, inputs: Any, ports: Sequence[str]) -> dict[str, Representation]:
        """Texts or images to the representations at several ports; images pass through the network once."""
        for port in ports:
            self.port(port)
        of_texts = [port for port in ports if _reads_texts(port)]
        if of_texts and len(of_texts) < len(ports):
            raise InputError(f"The ports {', '.join(ports)} read texts and images; ask for them apart.")
        return super().encode_many(inputs, ports) if of_texts else self._images(inputs, ports)

    def similarity(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        """Cosine of each image and each text, ``[B, T]``, with gradients to the images."""
        of_images, of_texts = self.encode(images, IMAGE), self.encode(list(texts), TEXT)
        assert isinstance(of_images, Tensor)
        assert isinstance(of_texts, Tensor)
        return of_images @ of_texts.mT

    def zero_shot(
        self, images: Tensor, labels: Sequence[str], templates: Sequence[str] = ("a photo of a {}.",)
    ) -> Tensor:
        """Probabilities of labels that nobody trained a classifier for.

        Each label is put into each template; its embedding is the direction of their mean (Radford et al. 2021,
        section 3.1.4).

        Args:
            images: float ``[B, 1 or 3, H, W]`` in [0, 1].
            labels: the names of ``K`` classes.
            templates: texts with ``{}`` for the label.

        Returns:
            ``[B, K]``: over the labels by softmax (CLIP), or of each label by itself (SigLIP).

        Raises:
            InputError: there are no labels or templates, or a template has no place for the label.
        """
        if not labels or not templates or not all("{}" in template for template in templates):
            raise InputError("Zero-shot labels need at least one label, and templates with {} where it goes.")
        prompts = [template.replace("{}", label) for label in labels for template in templates]
        of_texts, of_images = self.encode(prompts, TEXT), self.encode(images, IMAGE)
        assert isinstance(of_texts, Tensor)
        assert isinstance(of_images, Tensor)
        of_labels = functional.normalize(of_texts.unflatten(0, (len(labels), len(templates))).mean(dim=1), dim=1)
        network: Any = self.network
        logits: Tensor = network.logit_scale.float().exp() * (of_images @ of_labels.mT)
        return logits.softmax(dim=1) if self._causal else torch.sigmoid(logits + network.logit_bias.float())

    @property
    def _causal(self) -> bool:
        # CLIP's text tower reads forward and ends with its end token; SigLIP's sees all positions, padding included.
        return bool(self.config["model_type"] == "clip")

    def _texts(self, inputs: Any, port: str) -> Representation:
        def encode(rows: list[list[int]]) -> Representation:
            return self._encode_rows(rows, port)

        return encode_texts(inputs, self.tokenizer, self.max_tokens, encode, batch_size=self.batch_size, stacklevel=3)

    def _encode_rows(self, rows: list[list[int]], port: str) -> Representation:
        if not rows:
            return self._nothing(port)
        ids, mask = pad(rows, self._padding, self.network.device)
        if not self._causal:
            ids = functional.pad(ids, (0, self.max_tokens - ids.shape[1]), value=self._padding)
        network: Any = self.network
        output = network.get_text_features(input_ids=ids, output_hidden_states=True)
        if port == TEXT:
            return functional.normalize(output.pooler_output.float(), dim=1)
        layer = None if port == TOKENS else int(port.removeprefix(HIDDEN))
        states: Tensor = output.last_hidden_state if layer is None else output.hidden_states[layer]
        return Tokens(torch.where(mask[..., None], states[:, : mask.shape[1]].float(), 0.0), mask)

    def _images(self, inputs: Any, ports: Sequence[str]) -> dict[str, Representation]:
        network: Any = self.network
        pixels = self.preprocessing(inputs).to(network.device, network.dtype)
        if not len(pixels):
            return {port: torch.empty(0, *self._sizes_of(port), device=network.device) for port in ports}
        output = network.get_image_features(pixel_values=pixels, output_hidden_states=True)
        return {port: self._of_image(output, port) for port in ports}

    def _of_image(self, output: Any, port: str) -> Tensor:
        if port == IMAGE:
            return functional.normalize(output.pooler_output.float(), dim=1)
        layer = port.removeprefix(PATCHES).removeprefix(".")
        states: Tensor = output.hidden_states[int(layer)] if layer else output.last_hidden_state
        grid = sizes_of(self.config).grid
        # The class token, where there is one, comes first.
        patches: Tensor = states[:, -grid * grid :].float().mT.unflatten(2, (grid, grid))
        return patches

    def _nothing(self, port: str) -> Representation:
        *length, width = self._sizes_of(port)
        device = self.network.device
        if not length:
            return torch.empty(0, width, device=device)
        return Tokens(torch.empty(0, 0, width, device=device), torch.empty(0, 0, dtype=torch.bool, device=device))

    def _sizes_of(self, port: str) -> list[int]:
        return [0 if isinstance(size, str) else size for size in self.ports[port].shape]

    @property
    def _padding(self) -> int:
        # CLIP pads with its end token: the first one counts, and no position before it sees what follows.
        if self._causal:
            return int(self.tokenizer.eos_token_id)
        return int(self.tokenizer.pad_token_id)


def _reads_texts(port: str) -> bool:
    return port in (TEXT, TOKENS) or port.startswith(HIDDEN)
