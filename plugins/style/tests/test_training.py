import pytest
import torch

from dragoman.errors import InputError, PortError
from dragoman.training import Settings, Trainer
from dragoman.training.crops import Crops
from dragoman_style.eye import Recognition, Sources, config_of
from dragoman_style.network import SITES, StyleNet
from dragoman_style.train import FILM, family_of, tiles_of
from dragoman_style.training import StyleTraining, grams_of, scales_of
from dragoman_yoto.method import LossConditional


def images(count=3, seed=0):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_a_style_picture_is_at_no_distance_from_its_own_style(make_method, eye):
    method = make_method()
    tile = images(1, seed=9)
    method = StyleTraining(method.network, eye, [tile, images(1)])
    losses = method.judge(tile, tile, torch.tensor([0]))
    for name in ("content", "style.conv1", "style.conv2", "style.conv3", "style.conv4"):
        assert float(losses[name]) == pytest.approx(0, abs=1e-9)
    assert float(method.judge(tile, tile, torch.tensor([1]))["style.conv1"]) > 1e-6


def test_gram_matrices_are_means_over_tiles(eye):
    tiles = images(4)
    whole = grams_of(eye, [tiles], {"conv1": "stage.0"})["conv1"][0]
    each = [grams_of(eye, [tile[None]], {"conv1": "stage.0"})["conv1"][0] for tile in tiles]
    torch.testing.assert_close(whole, torch.stack(each).mean(0))


def test_what_does_not_fit_is_refused(make_method, eye):
    network = make_method().network
    with pytest.raises(InputError, match="knows 2 styles, but 1 were given"):
        StyleTraining(network, eye, [images(1)])
    with pytest.raises(PortError, match="looks at maps"):
        StyleTraining(network, eye, [images(1), images(1)], content="pooled")
    with pytest.raises(InputError, match="at least 64 pixels"):
        tiles_of(torch.zeros(3, 40, 100, dtype=torch.uint8), 64)


def test_tiles_cover_a_picture():
    picture = torch.arange(3 * 64 * 96).view(3, 64, 96).remainder(255).byte()
    tiles = tiles_of(picture, 32)
    assert tiles.shape == (6, 3, 32, 32)
    assert torch.equal((tiles[4] * 255).round().byte(), picture[:, 32:, 32:64])
    assert len(tiles_of(picture, 8, most=5)) == 5


def test_losses_are_relative_to_what_the_photographs_lose(make_method, eye):
    plain = make_method()
    grams = {name: getattr(plain, f"gram_{name}") for name in plain.layers}
    scales = scales_of(eye, grams, images(8), plain.layers)
    relative = StyleTraining(plain.network, eye, grams, scales=scales)
    for style in (0, 1):
        losses = relative.judge(images(8), images(8), torch.full((8,), style))
        for name in plain.layers:
            assert float(losses[f"style.{name}"].mean()) == pytest.approx(1, rel=1e-3)
    flat = torch.full((8, 3, 32, 32), 0.5)
    assert float(relative.judge(flat, images(8), torch.zeros(8, dtype=torch.long))["content"].mean()) > 0.5


def test_losses_fall(make_method, tmp_path):
    learned = make_method()
    method = LossConditional(learned, family_of(), sites=SITES, **FILM)
    pictures = [(images(1, seed=k)[0].repeat(1, 2, 2) * 255).byte() for k in range(3)]
    before = learned.judge(learned.network(images(), torch.tensor([0, 1, 0])), images(), torch.tensor([0, 1, 0]))
    Trainer(method, Crops(pictures, 32), Settings(40, 4), tmp_path).run()
    with torch.no_grad(), method.conditioned.using(method.family.values()):
        made = method.conditioned(images(), torch.tensor([0, 1, 0]))
    after = learned.judge(made, images(), torch.tensor([0, 1, 0]))
    names = [name for name in after if name.startswith("style")]
    assert sum(float((after[name].mean() / before[name].mean()).detach()) for name in names) < len(names)


def test_the_eye_learns_where_crops_come_from(tmp_path):
    pictures = [(images(1, seed=k)[0] * 255).byte() // (k + 1) for k in range(3)]
    config = config_of(3, 16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = Recognition(config)
    result = Trainer(method, Sources(pictures, 16), Settings(60, 12, log_every=1), tmp_path).run()
    assert result.losses["source"] < 0.8


def test_a_network_that_is_not_modulated_is_an_ordinary_one():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = StyleNet(2, 4, 1)
    first, second = (network(images(), torch.full((3,), k)) for k in (0, 1))
    assert torch.equal(first, second)
    torch.nn.init.normal_(network.up[0].scale[1:])
    assert not torch.equal(network(images(), torch.full((3,), 1)), first)
