from dragoman.testing import expert_tests

test_conformance = expert_tests("t5", checkpoint="folder")
