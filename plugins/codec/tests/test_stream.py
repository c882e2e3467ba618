import binascii

import pytest
import torch

from dragoman.errors import InputError
from dragoman_codec.coding import MOST_REACH, Decoder, Encoder, reach_of
from dragoman_codec.fixed import FixedCodec
from dragoman_codec.gaussian import LARGEST_LEVEL, GaussianConditional, scale_of_level
from dragoman_codec.knob import FIXED
from dragoman_codec.stream import FRAME, Header, framed, unframed


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def written(header):
    encoder = Encoder()
    header.write(encoder)
    return encoder.message()


@pytest.mark.parametrize("position", [0, 100, FIXED])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (256, 256), (4096, 16384), (16384, 1)])
def test_a_header_is_read_as_it_was_written(position, size):
    for grey, reach in ((False, 0), (True, MOST_REACH)):
        header = Header(position, *size, grey, reach)
        message = written(header)
        assert Header.read(Decoder(message)) == header
        assert len(message) <= 7


def test_a_header_of_usual_size_takes_few_bytes():
    for size, most in (((256, 256), 3), ((512, 768), 5), ((1500, 2000), 6)):
        header = Header(100, *size, False, 6)
        assert header.bits() == pytest.approx(8 * len(written(header)), abs=8)
        assert header.bits() <= 8 * most
    assert len(framed(b"")) == FRAME == 3


def test_any_change_and_any_cut_is_noticed(scale_codec, picture):
    stream = scale_codec.compress(picture(64, 64))
    for length in (0, 1, 2, 3, 4, len(stream) // 2, len(stream) - 1):
        with pytest.raises(InputError, match=r"truncated|no compressed image"):
            scale_codec.decompress(stream[:length])
    generator = seeded()
    places = [*range(24), *torch.randint(len(stream), (40,), generator=generator).tolist()]
    for place in places:
        bit = 1 << int(torch.randint(8, (), generator=generator))
        changed = stream[:place] + bytes([stream[place] ^ bit]) + stream[place + 1 :]
        with pytest.raises(InputError, match=r"damaged|no compressed image|version"):
            scale_codec.decompress(changed)
    with pytest.raises(InputError, match="damaged"):
        scale_codec.decompress(stream + b"\0")


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"", "no compressed image"),
        (b"\x89PNG\r\n\x1a\n", "no compressed image"),
        (b"\xff\xd8\xff\xe0", "no compressed image"),
        (b"\xd2" + bytes(40), "of version 2, which is read no more; encode the picture again"),
        (b"\xd4" + bytes(40), "of version 4; upgrade dragoman-codec"),
        (b"\xd3\x00", "truncated"),
        (b"\xd3" + bytes(40), "check sum is wrong"),
    ],
)
def test_what_is_no_stream_of_this_version_is_refused(stream, message):
    with pytest.raises(InputError, match=message):
        unframed(stream)


def forged(stream, change):
    """The stream with another message and a right check sum."""
    return framed(change(unframed(stream)))


def test_a_forged_size_does_not_exhaust_the_memory(scale_codec):
    message = written(Header(100, 16384, 16384, False, 6))
    with pytest.raises(InputError, match="sizes that cannot be"):
        scale_codec.decompress(framed(message))


def test_a_forged_message_ends_in_a_picture_or_an_error(scale_codec, picture):
    stream = scale_codec.compress(picture(64, 64))
    for seed in range(10):
        noise = torch.randint(256, (len(stream),), generator=seeded(seed)).byte().numpy().tobytes()
        header = written(Header(100, 64, 64, False, 6))
        for message in (header + noise, unframed(stream)[:-8] + noise[:8]):
            try:
                found = scale_codec.decompress(framed(message))
            except InputError:
                continue
            assert found.shape[1:] == (64, 64)


def test_a_stream_of_another_codec_or_machine_is_refused(scale_codec, picture):
    stream = scale_codec.compress(picture(64, 64), {"quality": 50})
    fixed = scale_codec.at({"quality": 50})
    decoder = Decoder(unframed(stream))
    header = Header.read(decoder)
    for other in (FixedCodec(fixed.network, fixed.position, fixed.model + 1), _elsewhere(fixed)):
        decoder = Decoder(unframed(stream))
        Header.read(decoder)
        with pytest.raises(InputError, match="another codec than this one, or on a machine that computes other scales"):
            other.decompress(header, decoder)


def _elsewhere(fixed):
    """The codec on a machine whose scales differ by a hair."""
    other = FixedCodec(fixed.network, fixed.position, fixed.model)
    for layer in other.exact.h_s:
        if isinstance(layer, torch.nn.Conv2d):
            layer.bias.mul_(1.05)
    return other


def test_the_check_sum_covers_everything():
    stream = framed(b"abc")
    assert unframed(stream) == b"abc"
    assert binascii.crc_hqx(b"abc", stream[0]) == int.from_bytes(stream[1:3], "big")


def test_messages_are_as_short_as_can_be():
    """Of many short messages of equally likely numbers, each decodes, and none of one byte less does."""
    generator = seeded()
    counts = (2, 3, 7, 200, 4096, 1 << 14)
    for length in (*range(24), 60):
        for _ in range(20):
            chosen = torch.randint(len(counts), (length,), generator=generator).tolist()
            numbers = [(int(torch.randint(counts[k], (), generator=generator)), counts[k]) for k in chosen]
            encoder = Encoder()
            for number, count in numbers:
                encoder.number(number, count)
            message = encoder.message()
            assert _numbers(message, numbers) == [number for number, _ in numbers]
            information = sum(torch.tensor(float(count)).log2().item() for _, count in numbers)
            assert 8 * len(message) < information + 9
            if message:
                shorter = int.from_bytes(message[:-1], "big")
                for near in (shorter, shorter + 1):
                    cut = near.to_bytes(len(message), "big")[1:]
                    assert _numbers(cut, numbers) != [number for number, _ in numbers]


def _numbers(message, numbers):
    decoder = Decoder(message)
    try:
        return [decoder.number(count) for _, count in numbers]
    except InputError:
        return None


def test_symbols_survive_and_cost_their_information():
    generator = seeded()
    levels = torch.randint(LARGEST_LEVEL // 2, (4, 50, 50), generator=generator)
    scales = scale_of_level(levels)
    latents = (scales * torch.randn(levels.shape, generator=generator, dtype=torch.float64)).round().int()
    side = torch.randint(3, (2, 10, 10), generator=generator).int() - 1
    tables = [(-1, torch.tensor([1.0, 2.0, 1.0])), (-2, torch.tensor([1.0, 2.0, 4.0, 2.0, 1.0]))]
    encoder, reach = Encoder(), reach_of(latents)
    encoder.side(side, tables)
    encoder.latents(latents, levels, reach)
    message = encoder.message()
    decoder = Decoder(message)
    assert torch.equal(decoder.side(tables, (2, 10, 10)), side)
    assert torch.equal(decoder.latents(levels, reach), latents)
    ideal = GaussianConditional()(latents.float(), scales.float()).sum()
    for row, (first, table) in zip(side, tables, strict=True):
        ideal -= (table / table.sum()).log2()[(row - first).long()].sum()
    assert 8 * len(message) == pytest.approx(float(ideal), rel=0.001)


@pytest.mark.parametrize(
    ("values", "bits"), [((0, 0), 0), ((-1, 0), 1), ((0, 1), 2), ((-2, 1), 2), ((-3, 1), 3), ((-5, 4), 4), ((4, 4), 4)]
)
def test_reach_is_the_length_of_a_twos_complement(values, bits):
    assert reach_of(torch.tensor(values)) == bits
    assert reach_of(torch.tensor([32767, -32767])) == MOST_REACH


def test_latents_that_are_all_zero_cost_nothing():
    levels = torch.zeros(2, 4, 4, dtype=torch.long)
    latents = torch.zeros(2, 4, 4, dtype=torch.int32)
    encoder = Encoder()
    encoder.latents(latents, levels, reach_of(latents))
    assert encoder.message() == b""
    assert torch.equal(Decoder(b"").latents(levels, 0), latents)
