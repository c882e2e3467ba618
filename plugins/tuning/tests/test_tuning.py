from dataclasses import replace

import pytest
import torch

from dragoman.errors import InputError, PortError
from dragoman_tuning.classifier import Classifier
from dragoman_tuning.ensemble import Ensemble
from dragoman_tuning.evaluation import check_judge, evaluate, sample_embedding
from dragoman_tuning.method import Embeddings, EmbeddingTuning
from dragoman_tuning.objective import PRESETS, Objective
from dragoman_tuning.packaging import as_fusion
from dragoman_tuning.points import extended, region_of
from dragoman_tuning.starts import candidates, most_recognised
from dragoman_tuning.tuning import Budget, tune_embeddings
from dragoman_tuning.wanted import Wanted, parse_classes

ANT, BEE = Wanted("Ant", 0, 0), Wanted("bee", 1, 1)
BUDGET = Budget(steps=6, batch_size=6, starts=2, precision="no")
REAL = torch.rand(20, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def tuned(gan, critic, wanted, folder, objective=None, budget=BUDGET, real=()):
    return tune_embeddings(gan, critic, wanted, objective or Objective(screen=2), budget, folder, real=real)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_many_at_once_are_what_each_is_alone(gan, critic, tmp_path, preset):
    unseen = [Wanted("Ant", 0, None), Wanted("bee", 1, None)]
    objective, real = replace(PRESETS[preset], screen=2), [REAL, REAL]
    together = tuned(gan, critic, unseen, tmp_path / "a", objective, real=real)
    alone = tuned(gan, critic, unseen[:1], tmp_path / "b", objective, real=real[:1])
    torch.testing.assert_close(together.all[0], alone.all[0], rtol=1e-3, atol=1e-4)


def test_only_embeddings_move(gan, critic, tmp_path):
    before = [{name: value.clone() for name, value in part.state_dict().items()} for part in (gan, critic.expert)]
    tuned(gan, critic, [ANT], tmp_path)
    for part, kept in zip((gan, critic.expert), before, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in part.state_dict().items())
        assert all(parameter.grad is None for parameter in part.parameters())


def test_tuning_makes_the_critic_surer_and_keeps_the_range(gan, critic, tmp_path):
    objective = Objective(noise=0.1, learning_rate=0.2)
    result = tuned(gan, critic, [ANT, BEE], tmp_path, objective, Budget(40, 16, 1, precision="no"))
    table = gan.atoms("class_embedding").values
    for row, label in enumerate((0, 1)):
        chance = [
            float(critic.look(sample_embedding(gan, e, 200)).logits.softmax(dim=1)[:, label].mean())
            for e in (table[2:].mean(dim=0), result.embeddings[row])
        ]
        assert chance[1] > chance[0] + 0.02
    assert float(result.embeddings.min()) >= float(table[2:].min())
    assert float(result.embeddings.max()) <= float(table[2:].max())


def test_the_best_start_is_kept(gan, critic, tmp_path):
    result = tuned(gan, critic, [ANT, BEE], tmp_path, Objective(), Budget(2, 4, 3, precision="no"))
    assert torch.equal(result.values, result.all_values.amin(dim=1))
    rows = result.all_values.argmin(dim=1)
    assert torch.equal(result.embeddings, result.all[torch.arange(2), rows])


def test_the_same_seed_gives_the_same_embeddings(gan, critic, tmp_path):
    one, two = (tuned(gan, critic, [ANT], tmp_path / name) for name in "ab")
    assert torch.equal(one.embeddings, two.embeddings)
    other = tuned(gan, critic, [ANT], tmp_path / "c", budget=Budget(6, 6, 2, seed=1, precision="no"))
    assert not torch.equal(one.embeddings, other.embeddings)


def test_what_is_broken_is_not_learned_from(gan, critic, tmp_path):
    """Noise in the class's own embedding changes nothing for a search that does not start there."""
    result = tuned(gan, critic, [ANT], tmp_path / "a")
    row = gan.network.shared.weight.data[0]
    whole = row.clone()
    try:
        row.fill_(50.0)
        assert torch.equal(tuned(gan, critic, [ANT], tmp_path / "b").embeddings, result.embeddings)
    finally:
        row.copy_(whole)


def test_several_critics_are_one_that_all_have_to_agree_with(critic, other_critic):
    both = Ensemble([critic, other_critic])
    assert both.labels == critic.labels
    seen, one, two = (each.see(REAL) for each in (both, critic, other_critic))
    torch.testing.assert_close(seen.features, one.features)
    expected = (one.logits.softmax(dim=1) * two.logits.softmax(dim=1)).sqrt()
    expected = expected / expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(seen.logits.softmax(dim=1), expected)


def test_critics_of_an_ensemble_know_the_same_classes_and_none_is_the_judge(critic, other_critic):
    stranger = Classifier("third", type(critic.expert)(seed=7))
    stranger.expert.config["labels"] = ["Ant", "cat", "bee"]
    with pytest.raises(InputError, match="'stranger' and 'third' know different classes"):
        Ensemble([critic, stranger])
    with pytest.raises(InputError, match="two or more"):
        Ensemble([critic])
    with pytest.raises(InputError, match="'other' cannot judge"):
        check_judge(Ensemble([critic, other_critic]), other_critic)


def test_tuning_against_an_ensemble_is_tuning(gan, critic, other_critic, tmp_path):
    result = tuned(gan, Ensemble([critic, other_critic]), [ANT], tmp_path, Objective(screen=2))
    assert not torch.equal(result.embeddings, tuned(gan, critic, [ANT], tmp_path / "one").embeddings)


def test_a_region_of_z_is_learned_and_packaged_beside_the_embedding(gan, critic, tmp_path):
    result = tuned(gan, critic, [ANT, BEE], tmp_path, Objective(region=True, screen=2, learning_rate=0.2))
    assert result.embeddings.shape == (2, 5 + 2 * 8)
    mean, deviation = region_of(result.embeddings, 5)
    assert mean.abs().max() > 0.1
    assert (deviation - 1).abs().max() > 0.01
    assert float(mean.abs().max()) <= 1
    fusion = as_fusion("biggan", gan, ["Ant", "bee"], result.embeddings, {})
    made = fusion.translator.sample(["bee"] * 2000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made[:, 8:], result.embeddings[1, :5].expand(2000, -1))
    torch.testing.assert_close(made[:, :8].mean(dim=0), mean[1], atol=0.1, rtol=0)
    torch.testing.assert_close(made[:, :8].std(dim=0), deviation[1], atol=0.1, rtol=0)


def test_a_point_without_a_region_is_an_embedding(gan):
    table = gan.atoms("class_embedding").values
    embedding = sample_embedding(gan, table[0], 3)
    torch.testing.assert_close(sample_embedding(gan, extended(table[0], 8), 3), embedding)


def test_a_coordinate_outside_of_the_range_comes_back():
    embeddings = Embeddings(torch.zeros(1, 1, 2), -1.0, 1.0)
    embeddings.value.data.fill_(3.0)
    (-embeddings.inside().sum()).backward()
    assert embeddings.value.tolist() == [[[1, 1]]]
    assert embeddings.value.grad.abs().min() > 0


def test_coupled_decay_is_the_gradient_that_adam_would_add(gan, critic):
    e = torch.ones(1, 5, requires_grad=True)
    objective = Objective(cross_entropy=0, decay=0.9)
    method = EmbeddingTuning(Embeddings(torch.zeros(1, 1, 5), -1, 1), gan, critic, [0], torch.randn(3, 5), objective)
    made = method.terms(e, torch.tensor([0]), torch.randn(4, 8), None)
    (0.9 * made["decay"].mean()).backward()
    torch.testing.assert_close(e.grad, torch.full((1, 5), 0.9))


def test_random_starts_are_trained_embeddings_without_repeats():
    table = torch.randn(6, 3)
    found = candidates("random", table, 6, own=None, noise=0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.sort(dim=0).values, table.sort(dim=0).values)


def test_starts_lie_around_their_centre():
    table, own = torch.randn(50, 30), torch.full((30,), 4.0)
    generator = torch.Generator().manual_seed(0)
    around_own = candidates("own", table, 200, own=own, noise=0.5, generator=generator)
    torch.testing.assert_close(around_own.mean(dim=0), own, atol=0.2, rtol=0)
    assert float((around_own - own).std()) == pytest.approx(0.5 * float(table.std()), rel=0.1)
    around_mean = candidates("mean", table, 3, own=own, noise=0.0, generator=generator)
    torch.testing.assert_close(around_mean, table.mean(dim=0).expand(3, -1))


def test_a_class_that_was_never_seen_has_no_embedding_of_its_own():
    with pytest.raises(InputError, match="no embedding of its own"):
        candidates("own", torch.randn(6, 3), 2, own=None, noise=0, generator=torch.Generator())


def test_top_starts_are_those_the_critic_takes_for_the_class(gan, critic):
    table, z = gan.atoms("class_embedding").values, torch.randn(16, 8)
    method = EmbeddingTuning(Embeddings(table[:1, None], -1, 1), gan, critic, [2], table, Objective())
    found = most_recognised(method, table, 2, 12, z)
    shares = [float(critic.look(method.render(row[None], z)).logits.softmax(dim=1)[:, 2].mean()) for row in found]
    assert shares[:10] == sorted(shares[:10], reverse=True)
    assert torch.equal(found[10:], found[:2])


def test_real_images_are_needed_by_an_objective_that_looks_at_them(gan, critic, tmp_path):
    with pytest.raises(InputError, match="real images"):
        tuned(gan, critic, [ANT], tmp_path, PRESETS["realistic"])


def test_only_a_generator_with_class_embeddings_is_tuned(critic, tmp_path):
    with pytest.raises(PortError, match="no class embeddings"):
        tuned(critic.expert, critic, [ANT], tmp_path)


@pytest.mark.parametrize(
    ("texts", "seen", "message"),
    [
        ([], False, "No class was named"),
        (["dog"], False, "knows no class 'dog'"),
        (["bee=10"], False, "rows are 0 to 9"),
        (["bee=x"], False, "rows are 0 to 9"),
        (["bee", "BEE"], False, "named twice"),
        (["bee"], True, "write bee=ROW"),
    ],
)
def test_classes_that_cannot_be_are_refused(critic, texts, seen, message):
    with pytest.raises(InputError, match=message):
        parse_classes(texts, critic, 10, seen=seen)


def test_classes_are_found_by_name_number_and_row(critic):
    assert parse_classes(["ANT", "2", "bee=7"], critic, 10, seen=False) == [
        Wanted("ANT", 0, None),
        Wanted("2", 2, None),
        Wanted("bee", 1, 7),
    ]


def test_the_judge_is_another_network(critic, other_critic):
    check_judge(critic, other_critic)
    with pytest.raises(InputError, match="cannot judge"):
        check_judge(critic, critic)


def test_figures_of_real_images_compared_with_themselves(critic, other_critic):
    figures = evaluate(REAL, "bee", critic, other_critic, REAL)
    assert figures.frechet == pytest.approx(0, abs=1e-6)
    assert figures.diversity == pytest.approx(figures.real_diversity)
    assert figures.judge_accuracy == pytest.approx(
        float((other_critic.look(REAL).logits.argmax(dim=1) == 1).float().mean())
    )


@pytest.mark.parametrize(
    "values", [{"start": "top-down"}, {"diversity": -1}, {"screen": 0}, {"space": "x"}, {"schedule": "linear"}]
)
def test_objectives_that_cannot_be_are_refused(values):
    with pytest.raises(InputError, match="objective"):
        Objective.preset("published", values)


def test_unknown_presets_and_values_are_refused():
    with pytest.raises(InputError, match="presets are"):
        Objective.preset("best")
    with pytest.raises(InputError, match="no value 'colour'"):
        Objective.preset("published", {"colour": 1})
