import pytest
import torch

from dragoman.errors import InputError, PortError
from dragoman.ports import Port
from dragoman.representation import Tokens
from dragoman_cinn.embedder import build_embedder, describe_condition


def embedder_for(port):
    torch.manual_seed(0)
    return build_embedder(describe_condition(port), 12, 1, 8)


def tokens(generator, lengths, features=6, padded=None):
    longest = padded or max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return Tokens(torch.randn(len(lengths), longest, features, generator=generator) * mask[..., None], mask)


def test_vector_statistics_are_removed(generator):
    embedder = embedder_for(Port("pooled", "vector", (3,)))
    batch = torch.randn(200, 3, generator=generator)
    embedder.initialize(batch)
    expected = embedder(batch)
    scaled = batch * torch.tensor([1e-3, 1.0, 1e3]) + 50
    embedder.initialize(scaled)
    torch.testing.assert_close(embedder(scaled), expected, atol=1e-3, rtol=1e-3)


def test_padding_has_no_influence(generator):
    embedder = embedder_for(Port("tokens", "tokens", ("length", 6)))
    batch = tokens(generator, [3, 5])
    embedder.initialize(batch)
    junk = torch.full((2, 4, 6), 7.0)
    longer = Tokens(torch.cat([batch.values, junk], dim=1), torch.cat([batch.mask, torch.zeros(2, 4).bool()], dim=1))
    torch.testing.assert_close(embedder(longer), embedder(batch))
    mean = embedder.standardizer.mean.clone()
    embedder.initialize(longer)
    torch.testing.assert_close(embedder.standardizer.mean, mean)
    alone = Tokens(batch.values[:1, :3], batch.mask[:1, :3])
    torch.testing.assert_close(embedder(alone), embedder(batch)[:1])


def test_every_token_matters_and_an_empty_sequence_is_finite(generator):
    embedder = embedder_for(Port("tokens", "tokens", ("length", 6)))
    batch = tokens(generator, [4, 0])
    values = batch.values.requires_grad_()
    result = embedder(Tokens(values, batch.mask))
    assert torch.isfinite(result).all()
    result.sum().backward()
    assert torch.isfinite(values.grad).all()
    assert (values.grad[0].abs().sum(dim=1) > 0).all()
    assert (values.grad[1] == 0).all()


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 8, 24), (3, 2, 2), (3, "height", "width")])
@pytest.mark.parametrize("modality", ["image", "map"])
def test_spatial_conditions_of_any_size(modality, shape, generator):
    embedder = embedder_for(Port("pixels", modality, shape))
    height, width = (side if isinstance(side, int) else 40 for side in shape[1:])
    batch = torch.rand(2, 3, height, width, generator=generator)
    embedder.initialize(batch)
    torch.testing.assert_close(embedder.standardizer.mean, batch.mean(dim=(0, 2, 3)))
    result = embedder(batch)
    assert result.shape == (2, 8)
    assert (result[0] - result[1]).abs().max() > 1e-3


def test_a_condition_of_another_kind_is_named(generator):
    vector, sequence = embedder_for(Port("a", "vector", (3,))), embedder_for(Port("b", "tokens", ("length", 6)))
    pixels = embedder_for(Port("c", "image", (3, 8, 8)))
    for embedder, wrong, message in [
        (vector, torch.zeros(2, 4), r"tensor \[B, 3\], not a tensor \[2, 4\]"),
        (vector, ["a shoe"], r"not a list of texts"),
        (vector, tokens(generator, [2]), r"not Tokens \[1, 2, 6\]"),
        (sequence, torch.zeros(2, 6), r"Tokens \[B, T, 6\], not a tensor \[2, 6\]"),
        (pixels, torch.zeros(2, 1, 8, 8), r"tensor \[B, 3, H, W\]"),
    ]:
        with pytest.raises(InputError, match=message):
            embedder(wrong)


def test_ports_that_cannot_be_embedded():
    with pytest.raises(PortError, match="not the port class"):
        describe_condition(Port("class", "label"))
    with pytest.raises(PortError, match="does not fix its 'hidden'"):
        describe_condition(Port("pooled", "vector", ("hidden",)))
