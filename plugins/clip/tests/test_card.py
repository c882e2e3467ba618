import subprocess
import sys

from dragoman_clip import CLIP, SIMILARITY


def test_the_cards_are_light():
    heavy = "torch", "transformers", "numpy", "tokenizers", "huggingface_hub"
    script = f"import sys, dragoman_clip; print([name for name in {heavy!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_card_and_the_checkpoint_agree_on_ports(expert):
    assert list(expert.ports)[: len(CLIP.ports)] == [port.name for port in CLIP.ports]
    for on_card in CLIP.ports:
        loaded = expert.ports[on_card.name]
        for field in ("modality", "dtype", "gives", "normalisation"):
            assert getattr(loaded, field) == getattr(on_card, field)
        assert len(loaded.shape) == len(on_card.shape)
    assert CLIP.load() is type(expert)


def test_the_losses_on_the_critics_card_are_those_it_gives(expert, tiny):
    critic = SIMILARITY.load().of(expert)
    assert tuple(critic.losses(tiny.images(), ["a bag", "shoe"])) == SIMILARITY.losses


def test_the_default_checkpoint_has_the_ports_of_clip_vit_b32():
    # The sizes that the repository's config.json states.
    vision = {"hidden_size": 768, "num_hidden_layers": 12, "patch_size": 32, "image_size": 224}
    config = {"model_type": "clip", "projection_dim": 512, "text_config": {}, "vision_config": vision}
    ports = CLIP.load().describe(config)
    assert ports["image"].shape == ports["text"].shape == (512,)
    assert ports["tokens"].shape == ports["hidden.12"].shape == ("tokens", 512)
    assert ports["patches"].shape == ports["patches.4"].shape == ports["patches.8"].shape == (768, 7, 7)
