from dragoman.testing import translator_tests

SMALL = {"depth": 2, "width": 16, "embedding": 8, "embedder_width": 12, "embedder_layers": 1}

test_conformance = translator_tests("cinn", options=SMALL)
