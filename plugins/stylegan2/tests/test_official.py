"""Official pickles: networks of the structure that both repositories write are read without being unpickled."""

import hashlib
import pickle
import sys

import pytest
import torch
from click.testing import CliRunner

from dragoman.cli.main import main
from dragoman.errors import PackageError
from dragoman_stylegan2.checkpoint import fill_networks
from dragoman_stylegan2.expert import StyleGAN2
from dragoman_stylegan2.official import read_official
from dragoman_stylegan2.pickles import read_pickle


def read(path):
    config, tensors = read_official(path)
    return StyleGAN2(config, fill_networks(config, tensors, str(path)))


@pytest.mark.parametrize("variant", ["ada", "sg3"])
@pytest.mark.parametrize(
    ("classes", "generator_changes", "discriminator_changes"),
    [
        (0, {}, {}),
        (3, {"conv_clamp": None, "num_fp16_res": 0, "mapping_layers": 4}, {"conv_clamp": None, "num_fp16_res": 0}),
        (0, {"image_channels": 1, "num_fp16_res": 1}, {"image_channels": 1, "num_fp16_res": 2, "residual": False}),
        (2, {"z_dim": 7, "mapping_rate": 0.1}, {"mbstd_group": 8, "mbstd_channels": 2, "cmap_dim": 3}),
    ],
)
def test_networks_and_architecture_are_those_that_were_written(
    variant, classes, generator_changes, discriminator_changes, make, tmp_path
):
    generator = make.generator(num_classes=classes, **generator_changes)
    discriminator = make.discriminator(num_classes=classes, **discriminator_changes)
    path = make.write_official(tmp_path / "net.pkl", variant=variant, generator=generator, discriminator=discriminator)
    found = read(path)
    expected = StyleGAN2.from_networks(generator, discriminator)
    for name in ("generator", "discriminator"):
        ours, theirs = dict(found.config[name]), dict(expected.config[name])
        if not classes:  # these sizes of an absent mapping network are nowhere
            for size in ("cmap_dim", "mapping_layers") if name == "discriminator" else ():
                ours.pop(size), theirs.pop(size)
        if name == "discriminator" and not classes:
            ours.pop("mapping_rate"), theirs.pop("mapping_rate")
        # More halved resolutions than there are mean all of them.
        assert min(ours.pop("num_fp16_res"), 2) == min(theirs.pop("num_fp16_res"), 2)
        assert ours == theirs
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    w = expected.draw("w", 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.decode(w, "w"), expected.decode(w, "w"))
    images = torch.rand(2, generator.config.image_channels, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found.encode(images, "features"), expected.encode(images, "features"))


def test_frozen_layers_stand_among_buffers(make, tmp_path):
    generator, discriminator = make.generator(), make.discriminator()
    path = make.write_official(
        tmp_path / "net.pkl", generator=generator, discriminator=discriminator, frozen=("weight",)
    )
    assert torch.equal(read(path).generator.synthesis.b8.conv0.weight, generator.synthesis.b8.conv0.weight)


def test_a_file_without_discriminator_is_a_generator(make, tmp_path):
    found = read(make.write_official(tmp_path / "net.pkl", generator=make.generator()))
    assert found.discriminator is None


def test_nothing_of_the_file_is_imported_or_run(make, tmp_path):
    path = make.write_official(tmp_path / "net.pkl", generator=make.generator())
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(path.read_bytes())  # what official code would be needed for
    read(path)
    assert not [name for name in sys.modules if name.startswith(("torch_utils", "dnnlib"))]


def test_the_rest_of_the_file_becomes_plain_values(make, tmp_path):
    content = read_pickle(make.write_official(tmp_path / "net.pkl", generator=make.generator()))
    assert content["training_set_kwargs"] == {"class_name": "training.dataset.ImageFolderDataset", "xflip": False}
    assert content["augment_pipe"].class_name == "AugmentPipe"
    assert content["augment_pipe"].state["p"] == 0.5
    scale = content["G_ema"].child("synthesis").child("b8").child("conv0").state["act_gain"]
    assert scale == pytest.approx(2**0.5)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_values_of_every_kind_are_those_that_pickle_wrote(protocol, make, tmp_path):
    values = {
        "numbers": [0, -1, 300, 70000, -(2**40), 2**200, 0.1, float("inf"), True, False, None],
        "texts": ["", "ä" * 300, "x" * 70000],
        "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {"a": {"b": [1]}}, list(range(3000))],
        "sets": [set()] if protocol > 2 else [],
        "ordered": make.easy_dict(b=1, a=2),
    }
    values["again"] = values["containers"]
    path = tmp_path / "values.pkl"
    path.write_bytes(make.dumps(values, protocol))
    found = read_pickle(path)
    assert found == values
    assert found["again"] is found["containers"]


def test_tensors_of_every_layout_and_type_are_those_that_were_written(make, tmp_path):
    base = torch.arange(24.0)
    tensors = {
        "transposed": base.view(2, 3, 4).transpose(0, 2),
        "part": base.view(4, 6)[1:3, ::2],
        "scalar": torch.tensor(3.0),
        "empty": torch.empty(0, 3),
        "expanded_once": base[:1].expand(1, 1),
        **{
            str(t): base.to(t)
            for t in (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool)
        },
        "parameter": torch.nn.Parameter(base.view(4, 6)),
    }
    path = tmp_path / "tensors.pkl"
    path.write_bytes(make.dumps(tensors))
    found = read_pickle(path)
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def test_the_command_writes_what_the_expert_reads(make, tmp_path):
    path = make.write_official(tmp_path / "net.pkl", generator=make.generator(), discriminator=make.discriminator())
    done = CliRunner().invoke(main, ["convert", "stylegan2", str(path), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "16 px" in done.output
    found = StyleGAN2.from_pretrained(tmp_path / "out")
    assert torch.equal(found.generator.synthesis.b4.const, make.generator().synthesis.b4.const)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.config["source"] == {"file": "net.pkl", "sha256": digest}


def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path):
    done = CliRunner().invoke(main, ["convert", "stylegan2", str(tmp_path / "none.pkl"), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "none.pkl cannot be read: No such file or directory." in done.output
    assert not (tmp_path / "out").exists()


def change(record, path, **attributes):
    """Change attributes of a module inside a module to be written."""
    for name in path:
        record = record._modules[name]
    record.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("path", "attributes", "message"),
    [
        (("synthesis", "b8"), {"architecture": "resnet"}, "architecture 'resnet' is not known"),
        (("synthesis", "b8", "conv1"), {"activation": "relu"}, "activation 'relu' is not known"),
        (("synthesis", "b8", "conv1"), {"conv_clamp": 3}, "blocks differ"),
        (("synthesis", "b8"), {"use_fp16": True}, "blocks differ"),
        (("synthesis", "b8"), {"use_fp16": "yes"}, "no usable attribute 'use_fp16'"),
        (("synthesis", "b16"), {"resolution": 64}, "resolution of 64"),
        (("mapping", "fc0"), {"bias_gain": "large"}, "mapping_rate cannot be 'large'"),
    ],
)
def test_other_architectures_are_refused(path, attributes, message, make, tmp_path):
    network = make.official(make.generator(num_fp16_res=0))
    change(network, path, **attributes)
    with pytest.raises(PackageError, match=message):
        read_official(make.write_official(tmp_path / "net.pkl", G_ema=network))


def test_other_contents_are_refused(make, tmp_path):
    def refused(message, **content):
        with pytest.raises(PackageError, match=message):
            read(make.write_official(tmp_path / "net.pkl", **content))

    generator = make.official(make.generator())
    refused("no generator G_ema", G_ema=None)
    refused("no module 'mapping'", G_ema=generator._modules["synthesis"])
    generator._modules["synthesis"].input = make.persistent("SynthesisInput")
    refused("StyleGAN3", G_ema=generator)
    del generator._modules["synthesis"].input
    generator._modules["synthesis"].b8.conv0.extra = make.persistent("Layer")
    generator._modules["synthesis"].b8.conv0.extra.register_buffer("more", torch.zeros(1))
    refused("do not belong there", G_ema=generator)
    del generator._modules["synthesis"]._modules["b8"]
    refused("no blocks b4, b8", G_ema=generator)


def test_modules_that_hold_each_other_are_refused(make, tmp_path):
    network = make.official(make.generator())
    shared = make.persistent("Layer")
    network._modules["one"], network._modules["two"] = shared, shared
    with pytest.raises(PackageError, match="hold each other"):
        read_official(make.write_official(tmp_path / "net.pkl", G_ema=network))


def test_tensors_that_share_a_memory_are_not_copied(make, tmp_path):
    network = make.official(make.generator())
    path = make.write_official(tmp_path / "net.pkl", G_ema=network)
    _, tensors = read_official(path)
    owned = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
    assert len(owned) == len(tensors)
    network.register_buffer("again", network._modules["mapping"].w_avg)
    config, tensors = read_official(make.write_official(tmp_path / "net.pkl", G_ema=network))
    assert tensors["generator.again"] is tensors["generator.mapping.w_avg"]
    with pytest.raises(PackageError, match="1 tensors do not belong there"):
        fill_networks(config, tensors, "net.pkl")


def test_names_that_are_no_texts_are_left_out(make, tmp_path):
    network = make.official(make.generator())
    network._modules["synthesis"]._modules[3] = make.persistent("Layer")
    network._modules["synthesis"]._buffers[3] = torch.zeros(1)
    found = read(make.write_official(tmp_path / "net.pkl", G_ema=network))
    assert found.generator.config == make.generator_config(num_fp16_res=2)
