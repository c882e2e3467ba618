import pytest
import torch
from torch import nn

from dragoman.errors import InputError, TrainingError
from dragoman.training import Method, Phase, Settings, Trainer
from dragoman_yoto.coefficient import Coefficient
from dragoman_yoto.family import LossFamily
from dragoman_yoto.method import LossConditional


class Points:
    """Standard normal points."""

    def batch(self, size, generator):
        return {"x": torch.randn(size, 2, generator=generator)}


class Tug(Method):
    """Two losses that pull one output to +1 and to -1; the best output of ``w`` and 1 is (w - 1) / (w + 1)."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))

    def phases(self):
        return (Phase("tug", list(self.network.parameters()), learning_rate=1e-2),)

    def trained(self):
        return self.network

    def forward(self, phase, batch, generator):
        noise = 0.01 * torch.randn(len(batch["x"]), generator=generator)
        out = self.network(batch["x"])[:, 0] + noise
        return {"up": (out - 1).square(), "down": (out + 1).square()}


class Weighted(Tug):
    def phases(self):
        (phase,) = super().phases()
        phase.weights = {"up": 4.0, "down": 2.0}
        return (phase,)


def train(method, folder, steps=30):
    Trainer(method, Points(), Settings(steps, batch_size=32, ema_decay=0.0), folder).run()
    return method


def test_a_range_of_one_point_trains_the_fixed_model(tmp_path):
    family = LossFamily((Coefficient("up", 4, 4), Coefficient("down", 2, 2)))
    wrapped = train(LossConditional(Tug(), family), tmp_path / "a")
    fixed = train(Weighted(), tmp_path / "b")
    # Powers of two scale without rounding: not a bit differs.
    for name, value in fixed.network.state_dict().items():
        assert torch.equal(value, wrapped.method.network.state_dict()[name])
    plain = train(Tug(), tmp_path / "c")
    assert any(
        not torch.equal(value, plain.network.state_dict()[name]) for name, value in fixed.network.state_dict().items()
    )


def test_one_network_learns_the_optimum_of_every_choice(tmp_path):
    family = LossFamily((Coefficient("up", 0.1, 10), Coefficient("down", 1, 1)), normalisation="geometric")
    method = train(LossConditional(Tug(), family, hidden=32, strength=1.0), tmp_path, steps=300)
    points = torch.randn(256, 2, generator=torch.Generator().manual_seed(9))
    found = []
    for weight in (0.1, 0.5, 1.0, 2.0, 10.0):
        with torch.no_grad(), method.conditioned.using(family.values({"up": weight})):
            found.append(float(method.conditioned(points).mean()))
        assert found[-1] == pytest.approx((weight - 1) / (weight + 1), abs=0.1)
    assert found == sorted(found)


def test_without_modulation_random_coefficients_teach_one_compromise(tmp_path):
    family = LossFamily((Coefficient("up", 0.1, 10), Coefficient("down", 1, 1)), normalisation="geometric")
    method = LossConditional(Tug(), family, strength=0.0)
    train(method, tmp_path, steps=20)
    outputs = []
    for weight in (0.1, 10.0):
        with torch.no_grad(), method.conditioned.using(family.values({"up": weight})):
            outputs.append(method.conditioned(torch.ones(1, 2)))
    assert torch.equal(*outputs)


def test_the_log_has_the_losses_before_they_are_weighted(tmp_path):
    family = LossFamily((Coefficient("up", 100, 100), Coefficient("down", 1, 1)))
    method = LossConditional(Tug(), family)
    trainer = Trainer(method, Points(), Settings(1, batch_size=4), tmp_path)
    result = trainer.run()
    assert result.losses["up"] == pytest.approx(100 * method.metrics()["plain.up"])


def test_interrupted_and_resumed_is_the_same(tmp_path):
    family = LossFamily((Coefficient("up", 0.1, 10), Coefficient("down", 1, 1)))

    def trainer(folder):
        settings = Settings(6, batch_size=8, checkpoint_every=3)
        return Trainer(LossConditional(Tug(), family), Points(), settings, folder)

    def stop(step, weights):
        if step == 6:
            raise RuntimeError("killed")

    with torch.random.fork_rng():
        torch.manual_seed(1)
        whole = trainer(tmp_path / "a")
    whole.run()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = trainer(tmp_path / "b")
    with pytest.raises(RuntimeError, match="killed"):
        first.run(snapshot=stop)
    second = trainer(tmp_path / "b")
    second.run(resume=True)
    for name, value in whole.method.conditioned.state_dict().items():
        assert torch.equal(value, second.method.conditioned.state_dict()[name]), name


def test_a_loss_that_is_never_reported_is_an_error(tmp_path):
    family = LossFamily((Coefficient("sideways", 1, 2),))
    with pytest.raises(TrainingError, match="no loss 'sideways' to be weighted; its losses are up, down"):
        train(LossConditional(Tug(), family), tmp_path, steps=1)


class Adversaries(Method):
    """Two networks, two phases, and an average of the first only."""

    def __init__(self):
        super().__init__()
        self.nets = nn.ModuleDict({"g": nn.Linear(2, 2), "d": nn.Linear(2, 1), "frozen": nn.Linear(1, 1)})

    def phases(self):
        return [Phase(name, list(self.nets[name].parameters())) for name in ("d", "g")]

    def trained(self):
        return self.nets

    def averaged(self):
        return self.nets["g"]

    def forward(self, phase, batch, generator):
        out = self.nets["d"](self.nets["g"](batch["x"]))[:, 0]
        return {"real": out.square(), "fake": -out} if phase == "d" else {"fool": out}


def test_modulations_move_in_the_phase_of_their_layer(tmp_path):
    family = LossFamily((Coefficient("fake", 0.1, 10), Coefficient("fool", 0.1, 10)))
    method = LossConditional(Adversaries(), family, sites=["g", "d"])
    film = method.conditioned.film
    for phase in method.phases():
        own, other = film[phase.name], film["g" if phase.name == "d" else "d"]
        moved = {id(parameter) for parameter in phase.parameters}
        assert all(id(parameter) in moved for parameter in own.parameters())
        assert not any(id(parameter) in moved for parameter in other.parameters())
    assert {name.split(".")[0] for name in method.averaged().state_dict()} == {"network", "film"}
    before = {name: value.clone() for name, value in film.state_dict().items()}
    train(method, tmp_path, steps=2)
    assert all(not torch.equal(value, before[name]) for name, value in film.state_dict().items() if "bias" not in name)


def test_a_modulation_that_could_not_move_is_an_error():
    family = LossFamily((Coefficient("fake", 0.1, 10),))
    with pytest.raises(TrainingError, match="frozen"):
        LossConditional(Adversaries(), family).phases()


class Loud(Tug):
    """One loss is a million times the other."""

    def forward(self, phase, batch, generator):
        losses = super().forward(phase, batch, generator)
        return {"up": losses["up"] * 1e6, "down": losses["down"]}


def test_balanced_losses_count_alike_and_their_means_are_resumed(tmp_path):
    family = LossFamily((Coefficient("up", 1, 1), Coefficient("down", 1, 1)), balance=0.9)
    loud, quiet = (train(LossConditional(kind(), family), tmp_path / kind.__name__, 60) for kind in (Loud, Tug))
    for name, value in quiet.method.network.state_dict().items():
        torch.testing.assert_close(loud.method.network.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    scale = loud.conditioned.running[0] / quiet.conditioned.running[0]
    torch.testing.assert_close(scale, torch.tensor([1e6, 1.0]), atol=0, rtol=1e-2)
    again = LossConditional(Loud(), family)
    trainer = Trainer(again, Points(), Settings(60, batch_size=32, ema_decay=0.0), tmp_path / "Loud")
    trainer.run(resume=True)
    assert torch.equal(again.conditioned.running, loud.conditioned.running)
    assert LossFamily.from_dict(family.to_dict()) == family
    with pytest.raises(InputError, match="running means"):
        LossFamily(family.coefficients, balance=1.0)
