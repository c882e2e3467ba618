"""A small tokenizer of its own for a text tower, and varied spellings of a text in its tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

__all__ = ["Spelling", "train_tokenizer"]

_START, _END = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(texts: Iterable[str], size: int, longest: int) -> Any:
    """A byte-level BPE tokenizer as CLIP's: it lowers the case, knows all bytes, and marks start and end.

    Args:
        texts: what merges are learnt from.
        size: tokens at most, the 256 bytes and two marks among them.
        longest: tokens of the longest text.

    Returns:
        A tokenizer of transformers.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    # With a space before the first word too, a word is spelt alike wherever it stands.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[_START, _END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in (_START, _END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{_START} $A {_END}", special_tokens=marks)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=_START,
        eos_token=_END,
        pad_token=_END,
        unk_token=_END,
        model_max_length=longest,
    )


class Spelling:
    """Texts to token ids, some of them in smaller pieces than the tokenizer's own.

    Words that were never read are spelt in pieces of words that were, so a text tower has to know these pieces. BPE
    dropout (Provilkov, Emelianenko, Voita 2020, arXiv:1910.13267) drops merges at random to that end; here only the
    first merges are kept for a text, with the same tokens, so that the draw is the generator's.

    Args:
        tokenizer: a tokenizer of :func:`train_tokenizer`.
        kept: shares of the merges that are kept, of which each text draws one.
    """

    def __init__(self, tokenizer: Any, kept: Sequence[float] = (1.0,)) -> None:
        self.end = int(tokenizer.eos_token_id)
        self.longest = int(tokenizer.model_max_length)
        self._spellings = [_with_merges(tokenizer.backend_tokenizer, share) for share in kept]

    def spell(self, texts: Sequence[str], generator: torch.Generator) -> list[list[int]]:
        """Token ids of each text, cut to the longest."""
        chosen = torch.randint(len(self._spellings), (len(texts),), generator=generator).tolist()
        rows = [self._spellings[way].encode(text).ids for way, text in zip(chosen, texts, strict=True)]
        return [row if len(row) <= self.longest else [*row[: self.longest - 1], self.end] for row in rows]


def _with_merges(tokenizer: Tokenizer, share: float) -> Tokenizer:
    content = json.loads(tokenizer.to_str())
    merges = content["model"]["merges"]
    content["model"]["merges"] = merges[: round(share * len(merges))]
    return Tokenizer.from_str(json.dumps(content))
