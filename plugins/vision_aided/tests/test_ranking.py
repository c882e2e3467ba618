"""The linear probe, the bank, the cache, and the command that ranks."""

import json

import pytest
import torch
from click.testing import CliRunner
from scipy.optimize import minimize

from dragoman.cli.main import main
from dragoman.errors import InputError, PortError, UnknownNameError
from dragoman.training.seeding import generator_for
from dragoman_vision_aided.bank import Member, load_bank, split_bank
from dragoman_vision_aided.features import FeatureCache
from dragoman_vision_aided.probe import fit_logistic, probe
from dragoman_vision_aided.ranking import draw_images, rank


def normal(count, width=5, shift=0.0, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) + shift


class TestProbe:
    def test_the_fit_is_the_minimum_of_the_penalised_likelihood(self):
        features = torch.cat([normal(60, seed=1), normal(60, shift=0.5, seed=2)]).double()
        labels = torch.cat([torch.ones(60), torch.zeros(60)]).double()
        x, y = features.numpy(), 2 * labels.numpy() - 1

        def objective(parameters):
            margins = torch.as_tensor(y * (x @ parameters[:-1] + parameters[-1]))
            return 0.5 * (parameters[:-1] ** 2).sum() + 0.2 * float(torch.nn.functional.softplus(-margins).sum())

        reference = minimize(objective, torch.zeros(6).double().numpy(), tol=1e-10).x
        weight, bias = fit_logistic(features, labels, 0.2)
        assert weight.tolist() == pytest.approx(reference[:-1].tolist(), abs=1e-4)
        assert bias.item() == pytest.approx(reference[-1], abs=1e-4)

    def test_equal_sets_are_guessed_and_distant_ones_known(self):
        pairs = [(normal(600, seed=seed), normal(600, seed=seed + 100)) for seed in range(8)]
        same = [probe(*pair, generator=generator_for(0), repeats=2).mean for pair in pairs]
        assert sum(same) / len(same) == pytest.approx(0.5, abs=0.02)
        apart = probe(normal(400, seed=1), normal(400, shift=4.0, seed=2), generator=generator_for(0))
        assert apart.mean > 0.99
        assert apart.samples == 400

    def test_the_accuracy_is_that_of_the_best_linear_judge(self):
        # Two normals at distance d along one axis: Phi(d / 2) = 0.8413 at d = 2.
        shift = torch.tensor([2.0, 0, 0, 0, 0])
        found = probe(normal(4000, seed=1), normal(4000, seed=2) + shift, generator=generator_for(0))
        assert found.mean == pytest.approx(0.8413, abs=0.015)
        assert 0 < found.std < 0.02

    def test_sets_are_balanced(self):
        few, many = normal(100, seed=1), normal(2000, seed=2)
        found = probe(few, many, generator=generator_for(0), repeats=8)
        assert found.samples == 100
        assert found.mean == pytest.approx(0.5, abs=0.08)

    def test_scale_and_constant_coordinates_do_not_matter(self):
        one, other = normal(300, seed=1), normal(300, shift=0.4, seed=2)
        scaled = [torch.cat([each * 1e4 + 7, torch.ones(300, 1)], dim=1) for each in (one, other)]
        plain = probe(one, other, generator=generator_for(0))
        assert probe(*scaled, generator=generator_for(0)).mean == pytest.approx(plain.mean, abs=0.01)

    @pytest.mark.parametrize("broken", [normal(3), normal(10) * float("nan"), normal(10, 4)])
    def test_what_cannot_be_probed(self, broken):
        with pytest.raises(InputError):
            probe(normal(10), broken, generator=generator_for(0))


class TestBank:
    def test_entries_name_expert_checkpoint_and_taps(self, zoo_folder):
        one, two = load_bank([f"stylegan2={zoo_folder / 'one'}:features+pooled", f"stylegan2={zoo_folder / 'two'}"])
        assert (one.name, one.taps) == ("one", ("features", "pooled"))
        assert (two.name, two.taps) == ("two", ("features",))
        assert one.pooled_port == "pooled"
        assert one.digest != two.digest

    def test_features_without_a_vector_are_averaged_maps(self, tiny):
        member = Member("eye", "eye", tiny.eye(), ("stage.1",))
        member.expert.ports.pop("pooled")
        images = torch.randint(256, (300, 1, 8, 8), dtype=torch.uint8)
        expected = member.expert.encode(images.float() / 255, "stage.1").mean(dim=(2, 3))
        torch.testing.assert_close(member.pooled(images), expected)

    def test_mistakes(self, zoo_folder):
        with pytest.raises(InputError, match="Two experts of the bank are called 'one'"):
            load_bank([f"stylegan2={zoo_folder / 'one'}", f"stylegan2={zoo_folder / 'one'}:pooled"])
        with pytest.raises(PortError, match=r"no port 'stage\.4'"):
            load_bank([f"stylegan2={zoo_folder / 'one'}:stage.4"])
        with pytest.raises(UnknownNameError, match="no-such-expert"):
            load_bank(["no-such-expert"])
        with pytest.raises(InputError, match="The bank is empty"):
            split_bank(" , ")


class TestCache:
    def test_features_are_computed_once(self, tiny, tmp_path):
        cache, member = FeatureCache(tmp_path), Member("eye", "eye", tiny.eye(), ("pooled",))
        images = torch.rand(10, 1, 8, 8)
        first = member.features(images, cache)
        member.expert.passes = 0
        assert torch.equal(member.features(images, cache), first)
        assert member.expert.passes == 0
        assert not torch.equal(member.features(1 - images, cache), first)
        assert member.expert.passes == 1

    def test_damage_is_repaired(self, tiny, tmp_path):
        cache, member = FeatureCache(tmp_path), Member("eye", "eye", tiny.eye(), ("pooled",))
        images = torch.rand(10, 1, 8, 8)
        first = member.features(images, cache)
        (file,) = tmp_path.iterdir()
        file.write_bytes(b"\0" * 20)
        assert torch.equal(member.features(images, cache), first)


def test_the_ranking_is_sorted_and_each_member_gets_the_same_splits(tiny, zoo_folder):
    bank = load_bank([f"stylegan2={zoo_folder / name}:pooled" for name in ("one", "two")])
    bank.append(Member("again", "one", bank[0].expert, bank[0].taps))
    real = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    ranking = rank(bank, real, draw_images(tiny.stylegan2(7), 60, 0), seed=3)
    accuracies = [ranked.probe.mean for ranked in ranking]
    assert accuracies == sorted(accuracies, reverse=True)
    by_name = {ranked.name: ranked.probe for ranked in ranking}
    assert by_name["one"] == by_name["again"]
    with pytest.raises(InputError, match="no expert left"):
        rank([], real, real)


def test_images_are_drawn_as_bytes_and_repeat(tiny):
    expert = tiny.stylegan2(7)
    drawn = draw_images(expert, 70, 5)
    assert (drawn.dtype, drawn.shape) == (torch.uint8, (70, 1, 8, 8))
    assert torch.equal(drawn[:10], draw_images(expert, 10, 5))


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(main, ["critics", *arguments])

    def test_it_shows_a_table(self, zoo_folder, tmp_path):
        bank = ",".join(f"stylegan2={zoo_folder / name}:pooled" for name in ("one", "two"))
        options = ["--images", str(zoo_folder / "images"), "--generator", f"stylegan2={zoo_folder / 'judge'}"]
        options += ["--bank", bank, "--cache", str(tmp_path)]
        result = self.run("rank", *options)
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert lines[0].split() == ["PLACE", "EXPERT", "ACCURACY", "SPREAD"]
        assert {line.split()[1] for line in lines[1:]} == {"one", "two"}
        assert len(list(tmp_path.iterdir())) == 4
        ranking = json.loads(self.run("rank", *options, "--json").stdout)
        assert [each["name"] for each in ranking] == [line.split()[1] for line in lines[1:]]
        assert ranking[0]["samples"] == 40

    def test_the_listing_works_as_before(self):
        listed = json.loads(self.run("--json").stdout)
        assert "vision-aided" in {each["name"] for each in listed}
        assert "vision-aided" in self.run().stdout

    def test_mistakes_are_sentences(self, zoo_folder):
        generator = f"stylegan2={zoo_folder / 'judge'}"
        result = self.run("rank", "--images", "nowhere", "--generator", generator, "--bank", generator)
        assert result.exit_code == 1
        assert "nowhere is no folder of images." in result.stderr
