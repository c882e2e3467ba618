"""Reading recipes strictly."""

import pytest

from dragoman.errors import InputError
from dragoman_vision_aided.recipe import GANRecipe
from dragoman_vision_aided.stages import choose


def test_a_recipe_survives_a_round_trip(recipe_of):
    recipe = GANRecipe.from_dict(recipe_of(critics={"loss": ["hinge", "sigmoid"]}))
    assert GANRecipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.training.stages == (0.032, 0.032, 0.032)
    assert recipe.critics.loss == ("hinge", "sigmoid")


@pytest.mark.parametrize(
    ("table", "changes", "sentence"),
    [
        ("critics", {"loss": ["hinge"]}, "names 1 losses for 2 experts"),
        ("critics", {"loss": ["hinge"] * 3}, "names 3 losses for 2 experts"),
        ("critics", {"strategy": "progresive"}, "cannot be 'progresive'; write none, all, fixed, progressive"),
        ("critics", {"count": 3}, "count is 3, but the bank has 2"),
        ("critics", {"bank": []}, "needs a bank"),
        ("critics", {"warmup": -1}, "warmup and ramp at least 0"),
        ("critics", {"width": "64"}, "critics.width cannot be '64'"),
        ("critics", {"los": "hinge"}, "critics has no entry 'los'"),
        ("training", {"stages": [1.0]}, "must be 3 positive numbers"),
        ("training", {"stages": [1.0, 1.0, 0.0]}, "must be 3 positive numbers"),
        ("training", {"batch_size": True}, "training.batch_size cannot be True"),
        ("training", {"snapshot": 0}, "no images between snapshots"),
        ("data", {"mirror": 1}, "data.mirror cannot be 1"),
        ("model", {"discriminator": 64}, "model.discriminator cannot be 64"),
        ("model", {"base": "stylegan2=cats", "discriminator": [64, 32]}, "that of model.base comes with it"),
        ("evaluation", {"samples": 1}, "under two samples"),
    ],
)
def test_mistakes_are_named(recipe_of, table, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        GANRecipe.from_dict(recipe_of(**{table: changes}))


def test_tables(recipe_of, tmp_path):
    with pytest.raises(InputError, match="no table 'critic'"):
        GANRecipe.from_dict(recipe_of() | {"critic": {}})
    with pytest.raises(InputError, match="lacks the table 'data'"):
        GANRecipe.from_dict({"training": {"stages": [1]}, "evaluation": {"features": "clip"}})
    with pytest.raises(InputError, match="lacks the entry 'features'"):
        GANRecipe.from_dict(recipe_of() | {"evaluation": {}})
    with pytest.raises(InputError, match="'evaluation' must be a table"):
        GANRecipe.from_dict(recipe_of() | {"evaluation": 1})
    with pytest.raises(InputError, match="cannot be read as a recipe"):
        GANRecipe.from_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("stages = [")
    with pytest.raises(InputError, match="cannot be read as a recipe"):
        GANRecipe.from_toml(tmp_path / "bad.toml")


class Named:
    def __init__(self, name, mean=0.0):
        self.name = name
        self.probe = type("Probe", (), {"mean": mean})


def test_labels_are_smoothed_where_the_probe_is_nearly_always_right(recipe_of):
    table = GANRecipe.from_dict(recipe_of(critics={"loss": ["sigmoid", "hinge"]})).critics
    bank, ranking = [Named("a"), Named("b")], [Named("b", 0.99), Named("a", 0.95)]
    chosen = choose(table, bank, ranking, 2, 100)
    assert [(each.name, each.loss, each.real_target, each.since) for each in chosen] == [
        ("b", "hinge", 1.0, 100),
        ("a", "sigmoid", 0.8, 100),
    ]
    assert choose(table, bank, [Named("a", 0.85)], 1, 0)[0].real_target == 1.0
    fixed = GANRecipe.from_dict(recipe_of(critics={"real_target": 0.7})).critics
    assert [each.real_target for each in choose(fixed, bank, ranking, 1, 0)] == [0.7]
