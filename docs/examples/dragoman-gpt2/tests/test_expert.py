import torch

from dragoman.operators import mend_torchvision
from dragoman.testing import expert_tests

mend_torchvision()

from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import WordLevel  # noqa: E402
from tokenizers.pre_tokenizers import Whitespace  # noqa: E402
from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast  # noqa: E402

WORDS = ["<unk>", "a", "red", "blue", "striped", "bag", "shoe", "with", "long", "sleeves", "very"]


def write_checkpoint(folder):
    """A random network of the real architecture, small enough for a test."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(WORDS), n_positions=32, n_embd=16, n_layer=2, n_head=2)
    GPT2Model(config).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)


test_conformance = expert_tests("gpt2", checkpoint=write_checkpoint)


def test_it_agrees_with_transformers(tmp_path):
    from dragoman_gpt2.expert import GPT2

    write_checkpoint(tmp_path)
    expert = GPT2.from_pretrained(tmp_path)
    with torch.no_grad():
        states = GPT2Model.from_pretrained(tmp_path)(torch.tensor([[1, 2, 5]])).last_hidden_state[0]
    found = expert.encode(["a red bag", "shoe"], "tokens")
    torch.testing.assert_close(found.values[0], states, atol=1e-5, rtol=0)
    torch.testing.assert_close(expert.encode(["a red bag"], "last")[0], states[-1], atol=1e-5, rtol=0)


def test_no_texts_give_no_rows(tmp_path):
    from dragoman_gpt2.expert import GPT2

    write_checkpoint(tmp_path)
    assert GPT2.from_pretrained(tmp_path).encode([], "pooled").shape == (0, 16)
