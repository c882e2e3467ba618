import torch

from dragoman.representation import Tokens
from dragoman.testing import critic_tests, expert_tests

IMAGES = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 9])
Z = torch.randn(3, 64, generator=torch.Generator().manual_seed(1))
LENGTHS = torch.arange(6) < torch.tensor([[6], [4], [5]])
SENTENCES = Tokens(torch.randn(3, 6, 384, generator=torch.Generator().manual_seed(2)) * LENGTHS[..., None], LENGTHS)


def clip_inputs(port):
    return IMAGES if port == "image" or port.startswith("patches") else ["a dark coat", "a bag", "an anorak"]


test_biggan_fashion = expert_tests(
    "biggan-fashion", inputs=LABELS, knobs={"label": {"z": Z}, "class_embedding": {"z": Z}}
)
test_clip_fashion = expert_tests("clip-fashion", inputs=clip_inputs)
test_captioner_fashion = expert_tests("captioner-fashion", inputs=IMAGES)
test_stylegan2_fashion = expert_tests(
    "stylegan2-fashion",
    inputs=lambda port: IMAGES if port in ("features", "pooled") else None,
    knobs={"label": {"z": Z}, "z": {"label": LABELS}},
)
test_swin_fashion = expert_tests("swin-fashion", inputs=IMAGES)
test_vgg_fashion = expert_tests("vgg-fashion", inputs=IMAGES)
test_judge_fashion = expert_tests("judge-fashion", inputs=IMAGES)
test_reader_fashion = critic_tests("reader-fashion", outputs=IMAGES, condition=SENTENCES)
