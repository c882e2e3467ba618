"""Training by command: interrupted and resumed, or refused."""

import os
import signal

import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("skimage")
pytest.importorskip("sklearn")

from dragoman.training.crops import Crops
from dragoman_codec.expert import Codec
from dragoman_codec.train import main

SMALL = ("--width", "8", "--latent", "12", "--crop", "64", "--batch-size", "1", "--device", "cpu")


def run(folder, *arguments):
    return CliRunner().invoke(main, [str(folder), *SMALL, *arguments])


def test_a_run_that_was_interrupted_goes_on_to_the_same_codec(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", "--steps", "6")
    assert whole.exit_code == 0, whole.output
    drawn, batch = [], Crops.batch

    def interrupting(crops, size, generator):
        drawn.append(size)
        if len(drawn) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return batch(crops, size, generator)

    monkeypatch.setattr(Crops, "batch", interrupting)
    stopped = run(tmp_path / "parts", "--steps", "6")
    assert stopped.exit_code == 130
    assert not (tmp_path / "parts" / "config.json").exists()
    refused = run(tmp_path / "parts", "--steps", "6")
    assert refused.exit_code == 1
    assert "holds a run already; go on with it by --resume" in refused.output
    resumed = run(tmp_path / "parts", "--steps", "6", "--resume")
    assert resumed.exit_code == 0, resumed.output
    one, other = (Codec.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_what_cannot_be_resumed_is_refused(tmp_path):
    for arguments, message in (
        (("--steps", "6"), "holds no run to resume"),
        (("--minutes", "1"), "holds no run to resume"),
    ):
        result = run(tmp_path, *arguments, "--resume")
        assert result.exit_code == 1
        assert message in result.output
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"")
    assert "cannot be resumed" in run(tmp_path, "--minutes", "1", "--resume").output
