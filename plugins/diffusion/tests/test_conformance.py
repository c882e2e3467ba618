from dragoman.ports import Port
from dragoman.testing import expert_tests, translator_tests
from dragoman.testing.samples import images
from dragoman_diffusion.pixels import Pixels

VECTORS = {"width": 16, "depth": 1, "embedding": 8, "embedder_width": 12, "embedder_layers": 1}
IMAGES = {"widths": [8, 16], "layers": [1, 1], "attends": [False, True], "head": 8, "text_width": 8}
IMAGE = Port("image", "image", (1, 8, 8))


def write_size(folder):
    Pixels({"channels": 3, "height": 8, "width": 12}).save_pretrained(folder)


test_flow_matching = translator_tests("flow-matching", options=VECTORS)
test_diffusion_prior = translator_tests("diffusion-prior", options=VECTORS, contrastive=["match"])
test_diffusion = translator_tests("diffusion", target=IMAGE, options=IMAGES)
test_cascade = translator_tests("diffusion-cascade", target=IMAGE, options=IMAGES)
test_pixels = expert_tests("pixels", checkpoint=write_size, inputs=images(3, 3, 8, 12))
