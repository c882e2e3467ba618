"""Pairs: a cache that holds what the experts give and survives a kill, and the pairs that users bring."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import dragoman_registry
import tiny_zoo
from dragoman import builtin
from dragoman.endpoint import Endpoint
from dragoman.errors import InputError, PortError
from dragoman.pairs import FilePairs, GeneratedPairs, PairStore, build_store, store
from dragoman.pairs.packed import PackedTokens
from dragoman.pairs.split import TrainingPart
from dragoman.pairs.store import store_key
from dragoman.representation import Tokens, length
from dragoman.training.seeding import generator_for
from tiny_zoo import training
from tiny_zoo.parts import TinyText
from tiny_zoo.training import TinyCaptioner, TinyEye, TinyGenerator

COUNT, SHARD, SEED = 100, 32, 3


@pytest.fixture(autouse=True)
def small_shards(monkeypatch, make_zoo):
    monkeypatch.setattr(store, "SHARD_SIZE", SHARD)
    make_zoo(builtin, dragoman_registry, tiny_zoo, (training, training.plugin()))


@pytest.fixture
def folder(tmp_path):
    training.write_experts(tmp_path / "experts")
    return tmp_path / "experts"


def endpoint(name, kind, folder, port):
    expert = kind.from_pretrained(folder / name)
    return Endpoint(f"tiny-{name}", expert, expert.port(port))


@pytest.fixture
def make(folder):
    """Pairs of the tiny experts, from a port of the text expert."""

    def pairs(port="pooled"):
        return GeneratedPairs(
            endpoint("text", TinyText, folder, port),
            endpoint("generator", TinyGenerator, folder, "z"),
            TinyCaptioner.from_pretrained(folder / "captioner"),
        )

    return pairs


@pytest.fixture
def pairs(make):
    return make()


@pytest.fixture
def shy_pairs(pairs, monkeypatch):
    """Pairs of a captioner without words for images of odd brightness, and how it captions where it is not shy."""
    encode = type(pairs.captioner).encode

    def shy(self, *args, **kwargs):
        return [said if int(said.split()[1]) % 2 == 0 else "" for said in encode(self, *args, **kwargs)]

    monkeypatch.setattr(type(pairs.captioner), "encode", shy)
    return pairs, encode


def shards(folder):
    return sorted(folder.rglob("*.safetensors"))


class TestStore:
    @pytest.mark.parametrize("port", ["pooled", "tokens"])
    def test_holds_what_the_experts_give(self, make, tmp_path, port):
        pairs = make(port)
        built = build_store(tmp_path / "pairs", pairs, COUNT, SEED)
        assert len(built) == COUNT
        for shard, start in enumerate(range(0, COUNT, SHARD)):
            size = min(SHARD, COUNT - start)
            streamed = pairs.batch(size, generator_for(SEED, "pairs", shard))
            cached = built.at(torch.arange(start, start + size))
            assert torch.equal(cached["target"], streamed["target"])
            assert cached["caption"] == streamed["caption"]
            self.check_conditions(cached["condition"], streamed["condition"])

    def check_conditions(self, cached, streamed):
        assert type(cached) is type(streamed)
        if not isinstance(cached, Tokens):
            torch.testing.assert_close(cached, streamed)
            return
        longest = streamed.mask.shape[1]
        assert torch.equal(cached.mask[:, :longest], streamed.mask)
        assert not cached.mask[:, longest:].any()
        # Tokens are kept in half precision, without padding.
        torch.testing.assert_close(cached.values[:, :longest], streamed.values, rtol=1e-3, atol=1e-4)
        assert not cached.values[~cached.mask].any()

    def test_describes_what_the_generator_shows(self, pairs, tmp_path):
        batch = build_store(tmp_path, pairs, COUNT, SEED).at(torch.arange(10))
        images = pairs.target.expert.decode(batch["target"], "z")
        for image, caption in zip(images, batch["caption"], strict=True):
            assert caption.startswith(f"level {int(image.mean() * 10)} ")

    def test_encodes_and_stores_equal_captions_once(self, pairs, tmp_path, monkeypatch):
        encoded, encode = [], TinyText.encode
        monkeypatch.setattr(
            TinyText,
            "encode",
            lambda self, texts, port, **how: encoded.append(texts) or encode(self, texts, port, **how),
        )
        built = build_store(tmp_path / "pairs", pairs, COUNT, SEED)
        assert length(built.conditions) == len(built.captions) < len(built)
        seen: set[str] = set()
        for path in shards(tmp_path / "pairs"):
            stored = load_file(path)
            captions = json.loads(stored["captions"].numpy().tobytes())
            assert captions in encoded
            # A shard without anything new repeats one caption.
            assert not seen & set(captions) or len(captions) == 1
            seen |= set(captions)
            assert len(set(captions)) == len(captions) == len(stored["condition"])
        assert seen == {built.captions[row] for row in built.rows.tolist()}

    def test_is_read_again_without_the_experts(self, pairs, tmp_path):
        built = build_store(tmp_path, pairs, COUNT, SEED)
        (own,) = tmp_path.glob("*/pairs.json")
        again = PairStore(own.parent)
        assert torch.equal(built.target, again.target)
        assert built.at(torch.tensor([99, 0]))["caption"] == again.at(torch.tensor([99, 0]))["caption"]

    def test_draws_depend_on_the_generator_alone(self, pairs, tmp_path):
        built = build_store(tmp_path, pairs, COUNT, SEED)
        part = TrainingPart(built, 0)
        first, again, other = (part.batch(16, generator_for(seed))["target"] for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert {tuple(row) for row in first.tolist()} <= {tuple(row) for row in built.target.tolist()}

    def test_two_pairs_are_the_least(self, pairs, tmp_path):
        with pytest.raises(InputError, match="At least 2 pairs are needed, not 1"):
            build_store(tmp_path, pairs, 1, SEED)

    def test_another_number_of_pairs_is_another_store(self, pairs, tmp_path):
        assert [len(build_store(tmp_path, pairs, count, SEED)) for count in (40, 50, 40)] == [40, 50, 40]


class TestInterruptedBuild:
    @pytest.fixture
    def interrupted(self, pairs, tmp_path, monkeypatch):
        """A build that ends in the third of four shards."""
        encode, calls = TinyCaptioner.encode, []

        def tired(self, inputs, port, *, generator=None):
            calls.append(port)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return encode(self, inputs, port, generator=generator)

        with monkeypatch.context() as patch:
            patch.setattr(TinyCaptioner, "encode", tired)
            with pytest.raises(KeyboardInterrupt):
                build_store(tmp_path / "pairs", pairs, COUNT, SEED)
        return tmp_path / "pairs"

    def test_goes_on_with_the_first_missing_shard(self, interrupted, pairs, tmp_path, monkeypatch):
        before = {path: path.stat().st_mtime_ns for path in shards(interrupted)}
        assert len(before) == 2
        drawn, draw = [], TinyGenerator.draw
        monkeypatch.setattr(
            TinyGenerator,
            "draw",
            lambda self, port, n, *, generator: drawn.append(n) or draw(self, port, n, generator=generator),
        )
        built = build_store(interrupted, pairs, COUNT, SEED)
        assert drawn == [SHARD, COUNT - 3 * SHARD]
        assert {path: path.stat().st_mtime_ns for path in before} == before
        whole = build_store(tmp_path / "whole", pairs, COUNT, SEED)
        assert torch.equal(built.target, whole.target)
        assert built.captions == whole.captions

    def test_is_not_taken_for_complete(self, interrupted):
        (own,) = interrupted.iterdir()
        with pytest.raises(InputError, match="holds 64 of 100 pairs; run what makes them again"):
            PairStore(own)

    def test_a_full_disk_leaves_whole_shards(self, pairs, tmp_path):
        own = tmp_path / store_key(pairs, COUNT, SEED)
        own.mkdir()
        (own / "00002.safetensors.part").symlink_to("/dev/full")
        with pytest.raises(InputError, match=r"00002.safetensors could not be written \(the disk is full\); the pairs"):
            build_store(tmp_path, pairs, COUNT, SEED)
        assert sorted(path.name for path in own.iterdir()) == ["00000.safetensors", "00001.safetensors", "pairs.json"]
        assert len(build_store(tmp_path, pairs, COUNT, SEED)) == COUNT

    @pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"", lambda content: b"x" * 99])
    def test_a_damaged_shard_is_one_sentence(self, pairs, tmp_path, damage):
        build_store(tmp_path / "pairs", pairs, COUNT, SEED)
        path = shards(tmp_path / "pairs")[1]
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(InputError, match=r"The pairs in .*00001.safetensors are damaged .*; delete the file"):
            build_store(tmp_path / "pairs", pairs, COUNT, SEED)
        path.unlink()
        assert len(build_store(tmp_path / "pairs", pairs, COUNT, SEED)) == COUNT

    @pytest.mark.parametrize("content", [None, "", "[]", '{"count'])
    def test_a_store_without_its_facts_is_one_sentence(self, pairs, tmp_path, content):
        build_store(tmp_path, pairs, COUNT, SEED)
        (facts,) = tmp_path.glob("*/pairs.json")
        facts.unlink() if content is None else facts.write_text(content)
        with pytest.raises(InputError, match=r"pairs.json cannot be read; delete the folder"):
            PairStore(facts.parent)

    def test_an_empty_folder_holds_no_pairs(self, tmp_path):
        with pytest.raises(InputError, match="holds no pairs"):
            PairStore(tmp_path)


class TestKey:
    def test_stays_for_the_same_experts_wherever_they_lie(self, make, folder):
        before = store_key(make(), COUNT, SEED)
        training.write_experts(folder)
        assert store_key(make(), COUNT, SEED) == before

    @pytest.mark.parametrize("part", ["source", "target", "captioner"])
    def test_changes_with_one_bit_of_any_expert(self, pairs, part):
        before = store_key(pairs, COUNT, SEED)
        expert = pairs.captioner if part == "captioner" else getattr(pairs, part).expert
        expert.weight.view(-1).view(torch.int32)[0] ^= 1
        assert store_key(pairs, COUNT, SEED) != before

    def test_changes_when_weights_change_places(self, pairs):
        before = store_key(pairs, COUNT, SEED)
        weight = pairs.target.expert.weight
        weight.copy_(weight.flip(0))
        assert store_key(pairs, COUNT, SEED) != before

    def test_changes_with_port_spread_number_and_seed(self, make):
        keys = {store_key(make(port), COUNT, SEED) for port in ("pooled", "tokens")}
        keys |= {store_key(make(), COUNT + 1, SEED), store_key(make(), COUNT, SEED + 1)}
        keys.add(store_key(replace(make(), spread=2.0), COUNT, SEED))
        assert len(keys) == 5


class TestGeneratedPairs:
    def test_need_a_captioner_that_captions(self, pairs):
        with pytest.raises(PortError, match="TinyGenerator has no port 'caption'"):
            GeneratedPairs(pairs.source, pairs.target, pairs.target.expert)

    def test_need_a_source_that_reads(self, pairs, folder):
        eye = endpoint("eye", TinyEye, folder, "seen")
        with pytest.raises(InputError, match=r"'tiny-eye' does not encode texts .* but generated pairs are captions"):
            GeneratedPairs(eye, pairs.target, pairs.captioner)

    def test_do_not_depend_on_how_many_are_rendered_at_once(self, pairs, monkeypatch):
        whole = pairs.make(50, generator_for(1))
        monkeypatch.setattr("dragoman.pairs.generated.RENDERED", 7)
        said = []
        parts = pairs.make(50, generator_for(1), said.append)
        assert torch.equal(whole.target, parts.target)
        assert whole.captions == parts.captions
        assert said == [7, 14, 21, 28, 35, 42, 49, 50]

    def test_draw_on_where_the_captioner_declines(self, shy_pairs):
        """All pairs are of images with a caption, and as many as asked for."""
        pairs, encode = shy_pairs
        said = []
        made = pairs.make(50, generator_for(1), said.append)
        assert len(made.target) == len(made.captions) == said[-1] == 50
        assert all(int(caption.split()[1]) % 2 == 0 for caption in made.captions)
        seen = encode(
            pairs.captioner, pairs.target.expert.decode(made.target, "z"), "caption", generator=generator_for(2)
        )
        assert [caption.split()[1] for caption in seen] == [caption.split()[1] for caption in made.captions]

    def test_keep_what_was_declined(self, shy_pairs):
        pairs, encode = shy_pairs
        made = pairs.make(50, generator_for(1))
        assert len(made.declined) > 10
        images = pairs.target.expert.decode(made.declined, "z")
        seen = encode(pairs.captioner, images, "caption", generator=generator_for(2))
        assert all(int(caption.split()[1]) % 2 for caption in seen)

    def test_offer_what_was_declined_to_training(self, shy_pairs, tmp_path):
        """Streamed, cached and with some pairs kept back alike."""
        pairs, _ = shy_pairs
        built = build_store(tmp_path, pairs, COUNT, SEED)
        made = [pairs.make(min(SHARD, COUNT - at), generator_for(SEED, "pairs", k))
                for k, at in enumerate(range(0, COUNT, SHARD))]  # fmt: skip
        assert torch.equal(built.declined, torch.cat([part.declined for part in made]))
        known = {tuple(row) for row in built.declined.tolist()}
        for source in (TrainingPart(built, 0), TrainingPart(built, 10)):
            batch = source.batch(16, generator_for(1))
            assert len(batch["declined"]) == 16
            assert {tuple(row) for row in batch["declined"].tolist()} <= known
        assert len(pairs.batch(16, generator_for(1))["declined"]) == 16

    def test_offer_nothing_where_nothing_was_declined(self, pairs, tmp_path):
        built = build_store(tmp_path, pairs, COUNT, SEED)
        assert len(built.declined) == 0
        for source in (TrainingPart(built, 10), pairs):
            assert "declined" not in source.batch(16, generator_for(1))

    def test_give_up_on_a_captioner_without_words(self, pairs, monkeypatch):
        monkeypatch.setattr(type(pairs.captioner), "encode", lambda self, inputs, *_, **__: [""] * len(inputs))
        with pytest.raises(InputError, match=r"words for 0 of 1500 images"):
            pairs.make(500, generator_for(1))

    def test_are_drawn_as_widely_as_asked(self, pairs, monkeypatch):
        monkeypatch.setattr(
            type(pairs.target.expert), "draw", lambda self, port, n, *, generator, spread: torch.full((n, 5), spread)
        )
        assert replace(pairs, spread=1.5).make(3, generator_for(1)).target.unique().tolist() == [1.5]


class TestFilePairs:
    @pytest.fixture
    def own(self, tmp_path):
        """Write a folder of pairs."""

        def write(header, rows, latents=None, name="latents"):
            with (tmp_path / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *rows])
            latents = torch.arange(5.0 * len(rows)).view(-1, 5) if latents is None else latents
            save_file({name: latents}, tmp_path / "latents.safetensors")
            return tmp_path

        return write

    @pytest.fixture
    def read(self, pairs, folder):
        def read(own, source=None):
            return FilePairs(own, source or pairs.source, pairs.target)

        return read

    def test_of_texts(self, own, read, pairs):
        found = read(own(["id", "text"], [[1, "a boot"], [2, " a bag,\nred "], [3, "ein Stöckelschuh"]]))
        assert len(found) == 3
        batch = found.at(torch.tensor([2, 1]))
        assert batch["caption"] == ["ein Stöckelschuh", "a bag,\nred"]
        assert batch["target"].tolist() == [[10, 11, 12, 13, 14], [5, 6, 7, 8, 9]]
        torch.testing.assert_close(batch["condition"], pairs.source.expert.encode(batch["caption"], "pooled"))
        assert TrainingPart(found, 0).batch(7, generator_for(0))["target"].shape == (7, 5)

    def test_of_texts_as_sequences(self, own, read, make):
        found = read(own(["text"], [["a boot"], ["bag"]]), make("tokens").source)
        condition = found.at(torch.tensor([1]))["condition"]
        assert condition.mask.tolist() == [[True] * 3 + [False] * 3]

    def test_with_the_mark_that_spreadsheets_write(self, own, read):
        path = own(["text"], [["a boot"], ["bag"]]) / "metadata.csv"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert len(read(path.parent)) == 2

    def test_of_images_of_any_size(self, own, read, folder):
        eye = endpoint("eye", TinyEye, folder, "seen")
        where = own(["file_name"], [["red.png"], ["grey.jpg"]])
        Image.new("RGB", (4, 6), (255, 0, 0)).save(where / "red.png")
        Image.new("L", (9, 3), 128).save(where / "grey.jpg")
        batch = read(where, eye).at(torch.tensor([0, 1]))
        torch.testing.assert_close(
            batch["condition"], torch.tensor([[1.0, 0, 0], [0.502, 0.502, 0.502]]), atol=0.01, rtol=0
        )

    @pytest.mark.parametrize(
        ("header", "rows", "words"),
        [
            (["caption"], [["a"]], "needs a header with a column text or file_name"),
            (["text"], [], "and at least one row"),
            (["text"], [["a"], ["  "]], "row 2 has an empty text"),
            (["id", "text"], [["1", "a"], ["2"]], "row 2 has an empty text"),
        ],
    )
    def test_a_table_that_is_not_one(self, own, read, header, rows, words):
        with pytest.raises(InputError, match=words):
            read(own(header, rows))

    def test_a_missing_table(self, read, tmp_path):
        with pytest.raises(InputError, match=r"metadata.csv does not exist"):
            read(tmp_path)

    @pytest.mark.parametrize("content", [b"text\n\xff\xfe\n", b"text\n" + b"x" * 200_000])
    def test_a_table_in_another_encoding_or_form(self, own, read, content):
        where = own(["text"], [["a"]])
        (where / "metadata.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"metadata.csv cannot be read as a table in UTF-8"):
            read(where)

    def test_numbers_of_rows_that_differ(self, own, read):
        with pytest.raises(InputError, match=r"metadata.csv has 2 rows, but latents.safetensors has 3"):
            read(own(["text"], [["a"], ["b"]], torch.zeros(3, 5)))

    @pytest.mark.parametrize("shape", [(2, 4), (2, 5, 1), (2,)])
    def test_latents_of_another_shape(self, own, read, shape):
        with pytest.raises(
            PortError, match=r"gives latents \(vector .*\), but tiny-generator takes z \(vector \[5\]\)"
        ):
            read(own(["text"], [["a"], ["b"]], torch.zeros(shape)))

    def test_latents_that_are_no_numbers(self, own, read):
        latents = torch.zeros(3, 5)
        latents[1, 2] = torch.nan
        with pytest.raises(InputError, match="row 2 of the latents is NaN or infinite"):
            read(own(["text"], [["a"], ["b"], ["c"]], latents))

    def test_latents_of_another_name_or_none(self, own, read):
        where = own(["text"], [["a"]], name="z")
        with pytest.raises(InputError, match="has no tensor named latents"):
            read(where)
        (where / "latents.safetensors").write_bytes(b"nothing")
        with pytest.raises(InputError, match="must be a safetensors file"):
            read(where)
        (where / "latents.safetensors").unlink()
        with pytest.raises(InputError, match="must be a safetensors file"):
            read(where)

    def test_an_image_that_is_none(self, own, read, folder):
        where = own(["file_name"], [["a.png"]])
        (where / "a.png").write_bytes(b"no image")
        with pytest.raises(InputError, match=r"a.png is no readable image"):
            read(where, endpoint("eye", TinyEye, folder, "seen"))


class TestTrainingPart:
    def test_what_is_kept_back_is_never_drawn(self, make, tmp_path):
        whole = build_store(tmp_path, make(), COUNT, SEED)
        part = TrainingPart(whole, 40)
        drawn = part.batch(500, generator_for(0))["target"]
        kept = part.validation(30)["target"]
        assert len(part) == 60
        assert torch.equal(kept, whole.target[60:90])
        assert not (drawn[:, None] == whole.target[60:]).all(dim=2).any()
        assert torch.equal(TrainingPart(whole, 0).validation(30)["target"], whole.target[:30])
        everything = TrainingPart(whole, 0).batch(2000, generator_for(0))["target"]
        assert len(everything.unique(dim=0)) == len(whole.target.unique(dim=0))

    def test_something_has_to_be_left(self, make, tmp_path):
        with pytest.raises(InputError, match="keeps back 100 pairs, but there are 100 in all"):
            TrainingPart(build_store(tmp_path, make(), COUNT, SEED), COUNT)


class TestPacking:
    def tokens(self, scale=1.0):
        mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False], [True, True, False]])
        values = scale * torch.randn(4, 3, 5, generator=generator_for(0, "tokens"))
        return Tokens(values * mask.unsqueeze(2), mask)

    def test_rows_come_back_padded_to_the_longest_of_them(self):
        tokens, packed = self.tokens(), PackedTokens.pack(self.tokens())
        assert packed.values.shape == (6, 5)
        everything = packed.at(torch.arange(4))
        assert torch.equal(everything.mask, tokens.mask)
        torch.testing.assert_close(everything.values, tokens.values, rtol=1e-3, atol=1e-4)
        two = packed.at(torch.tensor([3, 1]))
        assert two.mask.tolist() == [[True, True], [True, False]]
        assert torch.equal(two.values, everything.values[[3, 1], :2])
        assert packed.at(torch.tensor([2])).values.shape == (1, 0, 5)

    def test_values_beyond_half_precision_are_kept_as_they_are(self):
        tokens = self.tokens(scale=1e6)
        packed = PackedTokens.pack(tokens)
        assert packed.values.dtype == torch.float32
        assert torch.equal(packed.at(torch.arange(4)).values, tokens.values)
        assert PackedTokens.pack(self.tokens()).values.dtype == torch.float16

    def test_parts_are_joined_in_order(self):
        packed = PackedTokens.pack(self.tokens())
        joined = PackedTokens.join([packed, packed])
        assert torch.equal(joined.at(torch.tensor([4, 7])).values, packed.at(torch.tensor([0, 3])).values)
