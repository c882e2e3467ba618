import pytest

from dragoman.errors import PackageError
from dragoman_minizoo import store
from dragoman_minizoo.store import MINILM, Bundle


def test_unknown_models_are_named_with_those_that_exist():
    with pytest.raises(PackageError, match=r"'minizoo/nothing' is not in the mini zoo; it has .*biggan-fashion"):
        Bundle().fetch("minizoo/nothing", None)


@pytest.mark.parametrize("address", ["minizoo/../recipes", "minizoo/../../x", "minizoo/", "minizoo/."])
def test_addresses_do_not_lead_out_of_the_bundle(address):
    with pytest.raises(PackageError, match="not in the mini zoo"):
        Bundle().fetch(address, None)


def test_minilm_is_taken_from_its_package_and_checked(monkeypatch):
    bundle = Bundle()
    assert bundle.accepts(MINILM)
    assert (bundle.fetch(MINILM, None).folder / "tokenizer.json").is_file()
    store._checked_minilm.cache_clear()
    monkeypatch.setattr(store, "MINILM_SHA256", "0" * 64)
    with pytest.raises(PackageError, match="not 0000"):
        bundle.fetch(MINILM, None)
    store._checked_minilm.cache_clear()


def test_other_hub_ids_are_left_to_the_hub():
    assert not Bundle().accepts("google-bert/bert-base-uncased")
