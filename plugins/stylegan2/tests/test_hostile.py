"""Hostile files: nothing runs, nothing grows, and the refusal is one sentence."""

import contextlib
import io
import os
import pickle
import struct
import tracemalloc

import pytest
import torch

from dragoman.errors import PackageError
from dragoman_stylegan2.pickles import read_pickle

MARK = "dragoman-was-here"


class Runs:
    """Unpickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Writes(Runs):
    def __init__(self, folder):
        super().__init__(os.system, f"touch {folder / MARK}")


def refused(raw, message, tmp_path, **limits):
    path = tmp_path / "net.pkl"
    path.write_bytes(raw)
    with pytest.raises(PackageError, match=message) as caught:
        read_pickle(path, **limits)
    assert not (tmp_path / MARK).exists()
    assert "\n" not in str(caught.value)


def storage_blob(content) -> bytes:
    """What torch puts into a pickle for the memory of a tensor, with anything inside."""
    stream = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content):
        pickle.dump(part, stream, protocol=2)
    return stream.getvalue()


def call(function: str, argument: bytes) -> bytes:
    """A pickle that calls a global with one argument, which is itself a piece of a pickle."""
    return b"\x80\x03c" + function.replace(" ", "\n").encode() + b"\n" + argument + b"\x85R."


def as_bytes(raw: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(raw)) + raw


LOAD = "torch.storage _load_from_bytes"


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_at_the_top_is_refused(protocol, tmp_path):
    raw = pickle.dumps(Writes(tmp_path), protocol)
    refused(raw, "it names posix.system, which no official file does|no official file has|no pickle", tmp_path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_call_inside_of_the_dictionary_is_refused(protocol, tmp_path):
    refused(pickle.dumps({"G_ema": {"deep": [1, Writes(tmp_path)]}}, protocol), "posix.system", tmp_path)


def test_a_call_inside_of_a_tensors_memory_is_refused(tmp_path):
    refused(call(LOAD, as_bytes(storage_blob(Writes(tmp_path)))), "posix.system", tmp_path)
    refused(call(LOAD, as_bytes(pickle.dumps(Writes(tmp_path), 2))), "posix.system", tmp_path)


def test_a_call_inside_of_a_modules_state_is_refused(make, tmp_path):
    network = make.persistent("Generator", secret=Writes(tmp_path))
    refused(make.dumps({"G_ema": network}), "posix.system", tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "builtins eval",
        "builtins getattr",
        "os system",
        "nt system",
        "subprocess Popen",
        "torch load",
        "torch.hub load",
        "torch._utils __import__",
        "torch_utils.persistence _src_to_module",
        "numpy load",
        "numpy.core.multiarray scalar.__globals__",
        "collections OrderedDict.__init__",
        "collections namedtuple",
    ],
)
def test_no_other_name_is_known(name, tmp_path):
    refused(call(name, b"K\x01"), "it names", tmp_path)
    module, attribute = (part.encode() for part in name.split(" "))
    texts = b"".join(b"\x8c" + bytes([len(part)]) + part for part in (module, attribute))
    refused(b"\x80\x04" + texts + b"\x93K\x01\x85R.", "it names", tmp_path)


def test_the_state_of_other_objects_cannot_be_set(make, tmp_path):
    network = make.dumps(make.persistent("Generator"))[:-1]
    for target in (
        network,
        b"\x80\x03]",
        b"\x80\x03}",
        b"\x80\x03K\x01",
        b"\x80\x03ccollections\nOrderedDict\n",
        b"\x80\x03ctorch.storage\n_load_from_bytes\n",
        make.dumps(torch.zeros(2))[:-1],
        make.dumps(make.easy_dict())[:-1],
    ):
        refused(target + b"}X\x04\x00\x00\x00evilK\x01sb.", "sets the state of a", tmp_path)


def test_numpy_types_are_plain_numbers(tmp_path):
    def scalar(code, state, raw=b"\x00" * 8):
        kind = b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R" + state
        return b"\x80\x03cnumpy.core.multiarray\nscalar\n" + kind + b"C" + bytes([len(raw)]) + raw + b"\x86R."

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    sound = b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    path = tmp_path / "one.pkl"
    path.write_bytes(scalar("f8", sound))
    with pytest.raises(PackageError, match="it holds a float"):
        read_pickle(path)
    refused(scalar("O8", sound), "no plain number", tmp_path)
    refused(scalar("V8", sound), "no plain number", tmp_path)
    refused(scalar("f8", sound.replace(b"<", b">")), "no plain number", tmp_path)
    refused(scalar("f8", b"}b"), "no plain number", tmp_path)
    refused(scalar("f8", sound, raw=b"\x00" * 3), "another size", tmp_path)


def test_references_to_the_outside_are_refused(tmp_path):
    refused(b"\x80\x03X\x01\x00\x00\x00aQ.", "outside", tmp_path)
    refused(b"Pname\n.", "PERSID, which no official file has", tmp_path)


@pytest.mark.parametrize(
    "raw", [b"(i__main__\nX\n.", b"(c__main__\nX\no.", b"\x80\x02\x82\x01.", b"I1\n.", b"S'a'\n.", b"\x81."]
)
def test_opcodes_that_official_files_do_without_are_refused(raw, tmp_path):
    refused(raw, "which no official file|damaged", tmp_path)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80",
        b"not a pickle",
        b"\x80\x03.",
        b"\x80\x03}",
        b"\x80\x03h\x05.",
        b"\x80\x03t.",
        b"\x80\x03K\x01K\x02.",
        b"\x80\x03(K\x01u.",
        b"\x80\x03}(K\x01u.",
        b"\x80\x03K\x01K\x02a.",
        b"\x80\x03(\x85.",
        b"\x80\x09}.",
        b"\x80\x03K\x01K\x02R.",
        b"\x80\x03\x85\x86\x87.",
        b"\x80\x03}}K\x01s.",
        b"\x80\x04\x8c\xff.",
        b"\x80\x03X\x02\x00\x00\x00\xff\xfe.",
        b"\x80\x03ccollections\nOrderedDict\n.",
    ],
)
def test_damaged_files_are_refused(raw, tmp_path):
    refused(raw, "net.pkl (is no official|has 0 bytes)", tmp_path)


def test_every_truncation_of_a_file_is_refused(make, tmp_path):
    raw = make.dumps({"a": torch.zeros(3), "b": make.easy_dict(c=[1, 2])})
    for end in range(1, len(raw) - 1, 7):
        refused(raw[:end], "no official PyTorch pickle", tmp_path)


def test_files_of_the_tensorflow_releases_say_so(tmp_path):
    refused(b"\x80\x03cdnnlib.tflib.network\nNetwork\n)\x81.", "of the TensorFlow releases; convert it with", tmp_path)


def peak(function):
    tracemalloc.start()
    function()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 2**45) + b"x.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
        b"\x80\x04B\xff\xff\xff\xff.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"}.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"\x80\x03r\xff\xff\xff\xff.",
    ],
)
def test_claimed_sizes_take_no_memory(raw, tmp_path):
    path = tmp_path / "net.pkl"
    path.write_bytes(raw)

    def read():
        with contextlib.suppress(PackageError):
            assert read_pickle(path) == {}

    assert peak(read) < 2**20


def reference(count, storage=torch.FloatStorage):
    """A blob that claims to hold one storage of so many elements."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return ("storage", storage, "0", "cpu", count, None) if obj == "here" else None

    stream = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(part, stream, protocol=2)
    Pickler(stream, protocol=2).dump("here")
    pickle.dump(["0"], stream, protocol=2)
    return stream.getvalue()


@pytest.mark.parametrize("count", [2**50, -1, 5, True])
def test_storages_have_the_elements_that_they_claim(count, tmp_path):
    rest = struct.pack("<q", int(count)) + b"\x00" * 16
    refused(call(LOAD, as_bytes(reference(count) + rest)), "memory (claims|refers)", tmp_path)
    refused(call(LOAD, as_bytes(reference(4) + struct.pack("<q", 3) + b"\x00" * 16)), "claims 4 elements", tmp_path)
    refused(call(LOAD, as_bytes(reference(4))), "claims 4 elements", tmp_path)


def test_only_one_sound_storage_is_a_tensors_memory(tmp_path):
    refused(call(LOAD, b"K\x01"), "is a int, not bytes", tmp_path)
    refused(call(LOAD, as_bytes(pickle.dumps(7, 2) + pickle.dumps(1001, 2))), "legacy format", tmp_path)
    refused(call(LOAD, as_bytes(storage_blob([1]))), "arguments that cannot be|damaged", tmp_path)
    stream = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, stream)  # a zip file
    refused(call(LOAD, as_bytes(stream.getvalue())), "truncated or no pickle", tmp_path)
    stream = io.BytesIO()
    torch.save([torch.zeros(2), torch.ones(2)], stream, _use_new_zipfile_serialization=False)
    refused(call(LOAD, as_bytes(stream.getvalue())), "it names torch._utils", tmp_path)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (2**30, 2**30), (0, 0)),
        (0, (3,), (2,)),
        (5, (1,), (1,)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (1,), ()),
        (0, [1], (1,)),
        (0, (2.0,), (1,)),
        (0, (1,) * 9, (1,) * 9),
    ],
)
def test_tensors_stay_inside_their_memory(offset, size, stride, make, tmp_path):
    class Tensor:
        def __reduce__(self):
            storage = torch.zeros(4).__reduce_ex__(2)[1][0]
            return torch._utils._rebuild_tensor_v2, (storage, offset, size, stride, False, {})

    refused(make.dumps({"t": Tensor()}), "tensor (that cannot be|of shape)", tmp_path)


def test_one_memory_is_not_read_a_thousand_times(tmp_path):
    blob = as_bytes(reference(2**16) + struct.pack("<q", 2**16) + b"\x00" * 2**18)
    again = b"ctorch.storage\n_load_from_bytes\nh\x00\x85R0" * 1000
    refused(b"\x80\x03" + blob + b"q\x000" + again + b"}.", "same bytes for many tensors", tmp_path)


def test_deep_nesting_does_not_overflow_the_stack(tmp_path):
    deep = b"\x80\x03K\x01" + b"\x85" * 60_000
    refused(deep + b".", "holds a tuple", tmp_path)
    refused(b"\x80\x03}" + deep[2:] + b"K\x01s.", "damaged", tmp_path)
    refused(call("numpy dtype", deep[2:]), "no plain number", tmp_path)
    meta = b"}(X\x04\x00\x00\x00type" + deep[2:]
    for key in (b"version", b"module_src", b"class_name", b"state"):
        meta += b"X" + struct.pack("<I", len(key)) + key + b"N"
    refused(call("torch_utils.persistence _reconstruct_persistent_obj", meta + b"u"), "version 6", tmp_path)


def test_endless_files_end(tmp_path):
    refused(b"\x80\x03" + b"K\x010" * 126_000 + b".", "more than 250,000 operations", tmp_path)


def test_files_above_the_limit_are_not_opened(make, tmp_path):
    refused(make.dumps({}), "files of 1 to 4 bytes are read", tmp_path, max_bytes=4)


def test_records_of_other_forms_are_refused(tmp_path):
    def record(**changes):
        meta = {"type": "class", "version": 6, "module_src": "", "class_name": "G", "state": {}} | changes
        return call("torch_utils.persistence _reconstruct_persistent_obj", pickle.dumps(meta, 3)[2:-1])

    for changes, message in (
        ({"version": 7}, "version 6"),
        ({"type": "function"}, "version 6"),
        ({"class_name": 3}, "without a class"),
        ({"state": []}, "without a class"),
        ({"state": None}, "without a class"),
    ):
        refused(record(**changes), message, tmp_path)
    refused(call("torch_utils.persistence _reconstruct_persistent_obj", b"}"), "without the entries", tmp_path)
