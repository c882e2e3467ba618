"""The pair of encoders: CLIP on captioned images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch

from dragoman.endpoint import load_expert
from dragoman.training.seeding import generator_for
from dragoman_minizoo.captioned import CaptionedImages
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.checkpoint import halve
from dragoman_minizoo.data import LABELS, fashion_mnist
from dragoman_minizoo.trainers.running import Recipe, accuracy, run

__all__ = ["clip"]


def clip(recipe: Recipe, out: Path, resume: bool) -> None:
    """CLIP: towers and a tokenizer of its own, in the layout of transformers."""
    # In here, so that the other recipes do without the plugin.
    from dragoman_clip.expert import Clip
    from dragoman_clip.library import CLIPModel
    from dragoman_clip.preprocessing import Preprocessing
    from dragoman_minizoo.contrastive import Contrastive
    from dragoman_minizoo.spelling import Spelling, train_tokenizer

    eye = load_expert("captioner-fashion")
    assert isinstance(eye, Captioner)
    data = CaptionedImages(fashion_mnist("train"), eye.boundaries, shift=recipe["data"]["shift"])
    tokenizer = train_tokenizer(_some(data, recipe["tokenizer"]["captions"]), **_sizes(recipe))
    config = _config(recipe, tokenizer)
    torch.manual_seed(recipe["training"]["seed"])
    network = CLIPModel(config)
    image = recipe["vision"]
    preprocessing = Preprocessing.from_config(recipe["preprocessor"], image["num_channels"], image["image_size"])
    spelling = Spelling(tokenizer, recipe["tokenizer"]["kept"])
    run(recipe, Contrastive(network, preprocessing, spelling, **recipe["method"]), data, out, resume)
    expert = Clip(network.config.to_dict(), network, tokenizer, recipe["preprocessor"]).freeze()
    expert.save_pretrained(out / "model")
    halve(out / "model")
    names = [f"a photo of a {label}" for label in LABELS]
    right = accuracy(lambda images: expert.similarity(images, names).argmax(dim=1), fashion_mnist("validation"))
    click.echo(f"zero-shot accuracy on the validation images: {right:.4f}", err=True)


def _some(data: CaptionedImages, count: int) -> list[str]:
    captions = data.batch(count, generator_for(0, "tokenizer"))["caption"]
    assert isinstance(captions, list)
    return captions


def _sizes(recipe: Recipe) -> dict[str, int]:
    return {"size": recipe["tokenizer"]["size"], "longest": recipe["text"]["max_position_embeddings"]}


def _config(recipe: Recipe, tokenizer: Any) -> Any:
    from dragoman.pretrained import model_config

    marks = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**recipe["text"], **marks, "pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
    size = recipe["projection_dim"]
    towers = {"text_config": text, "vision_config": recipe["vision"]}
    return model_config({"model_type": "clip", "projection_dim": size, **towers})
