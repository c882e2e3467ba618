import struct
import zlib

import pytest
import torch

from dragoman.errors import InputError
from dragoman_codec.coding import decode_latents, decode_side, encode_symbols, range_decoder
from dragoman_codec.gaussian import LARGEST_LEVEL, GaussianConditional, scale_of_level
from dragoman_codec.stream import Header

HEADER = Header(model=7, position=9, height=64, width=100, grey=False, scales=1, low=-3, high=4)


def test_a_header_is_read_as_it_was_written():
    stream = HEADER.write(b"payload")
    assert Header.read(stream) == (HEADER, b"payload")
    assert len(stream) == 29
    grey = Header(7, 9, 64, 100, True, 1, -3, 4)
    assert Header.read(grey.write(b""))[0] == grey


def test_any_change_and_any_cut_is_noticed(scale_codec, picture):
    stream = scale_codec.compress(picture(64, 64))
    for length in (0, 2, 3, 10, 21, 22, len(stream) // 2, len(stream) - 1):
        with pytest.raises(InputError, match=r"truncated|no compressed image"):
            scale_codec.decompress(stream[:length])
    generator = torch.Generator().manual_seed(0)
    places = [*range(24), *torch.randint(len(stream), (40,), generator=generator).tolist()]
    for place in places:
        bit = 1 << int(torch.randint(8, (), generator=generator))
        changed = stream[:place] + bytes([stream[place] ^ bit]) + stream[place + 1 :]
        with pytest.raises(InputError, match=r"damaged|no compressed image|version"):
            scale_codec.decompress(changed)
    with pytest.raises(InputError, match="damaged"):
        scale_codec.decompress(stream + b"\0")
    with pytest.raises(InputError, match="upgrade"):
        scale_codec.decompress(stream[:3] + b"\x02" + stream[4:])


def forged(stream, **changes):
    header, payload = Header.read(stream)
    return Header(**{**header.__dict__, **changes}).write(payload)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 0}, "sizes that cannot be"),
        ({"height": 65535, "width": 65535}, "sizes that cannot be"),
        ({"low": 5, "high": -5}, "sizes that cannot be"),
        ({"model": 1}, "another codec"),
        ({"scales": 1}, "computes other scales"),
        ({"position": 65535}, "quality is not one"),
    ],
)
def test_a_forged_header_with_a_right_check_sum_is_refused(scale_codec, picture, changes, message):
    stream = scale_codec.compress(picture(64, 64))
    with pytest.raises(InputError, match=message):
        scale_codec.decompress(forged(stream, **changes))


def test_a_forged_payload_ends_in_a_picture_or_an_error(scale_codec, picture):
    header, payload = Header.read(scale_codec.compress(picture(64, 64)))
    for seed in range(10):
        noise = (
            torch.randint(256, (len(payload),), generator=torch.Generator().manual_seed(seed)).byte().numpy().tobytes()
        )
        with pytest.raises(InputError):
            scale_codec.decompress(header.write(noise))
        try:
            found = scale_codec.decompress(header.write(payload[:-8] + noise[:8]))
        except InputError:
            continue
        assert found.shape == (3, 64, 64)


def test_the_check_sum_covers_all_but_the_magic():
    stream = HEADER.write(b"abc")
    (total,) = struct.unpack_from("<I", stream, 4)
    assert total == zlib.crc32(stream[8:], 1)


def test_symbols_survive_and_cost_their_information():
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(LARGEST_LEVEL // 2, (4, 50, 50), generator=generator)
    scales = scale_of_level(levels)
    latents = (scales * torch.randn(levels.shape, generator=generator, dtype=torch.float64)).round().int()
    side = torch.randint(3, (2, 10, 10), generator=generator).int() - 1
    tables = [(-1, torch.tensor([1.0, 2.0, 1.0])), (-2, torch.tensor([1.0, 2.0, 4.0, 2.0, 1.0]))]
    low, high = int(latents.min()), int(latents.max())
    payload = encode_symbols(side, tables, latents, levels, low, high)
    decoder = range_decoder(payload)
    assert torch.equal(decode_side(decoder, tables, (2, 10, 10)), side)
    assert torch.equal(decode_latents(decoder, levels, low, high), latents)
    ideal = GaussianConditional()(latents.float(), scales.float()).sum()
    for row, (first, table) in zip(side, tables, strict=True):
        ideal -= (table / table.sum()).log2()[(row - first).long()].sum()
    assert 8 * len(payload) == pytest.approx(float(ideal), rel=0.005)


def test_latents_that_are_all_alike_cost_nothing():
    levels = torch.zeros(2, 4, 4, dtype=torch.long)
    latents = torch.full((2, 4, 4), 5, dtype=torch.int32)
    side, tables = torch.zeros(1, 1, 1).int(), [(0, torch.tensor([1.0, 1.0]))]
    payload = encode_symbols(side, tables, latents, levels, 5, 5)
    decoder = range_decoder(payload)
    decode_side(decoder, tables, (1, 1, 1))
    assert torch.equal(decode_latents(decoder, levels, 5, 5), latents)
    assert len(payload) <= 4
