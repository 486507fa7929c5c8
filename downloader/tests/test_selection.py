"""Which files of a repository are fetched: the weights once, whole, in a format that servers read, and no programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from weights import gguf, safetensors

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.key import parse_source
from llmkube_downloader.sources.selection import select

if TYPE_CHECKING:
    from command_line import Run

SMALL = ("config.json", "tokenizer.json")
SHARDS = tuple(f"Q4/tiny-Q4-0000{number}-of-00003.gguf" for number in (1, 2, 3))
MODEL = tuple(f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
INDEX = "model.safetensors.index.json"
GIBIBYTE = 1024**3


def chosen(
    paths: tuple[str, ...], *, files: tuple[str, ...] = (), include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()
) -> set[str]:
    source = parse_source("hf://acme/tiny", files=files, include=include, exclude=exclude)
    return set(select(dict.fromkeys(paths, GIBIBYTE), source))


def refusal(paths: tuple[str, ...], **selection: tuple[str, ...]) -> DownloaderError:
    with pytest.raises(DownloaderError) as raised:
        chosen(paths, **selection)
    return raised.value


class TestShardedGguf:
    def test_the_first_shard_stands_for_all(self) -> None:
        assert chosen((*SHARDS, *SMALL), files=SHARDS[:1]) == set(SHARDS)
        assert chosen((*SHARDS, *SMALL), include=("*-00001-of-*",)) == set(SHARDS)

    def test_another_shard_stands_for_itself(self) -> None:
        assert chosen((*SHARDS, *SMALL), files=SHARDS[1:2]) == {SHARDS[1]}

    def test_shards_of_other_models_do_not_come_along(self) -> None:
        others = (*(path.replace("Q4", "Q8") for path in SHARDS), "Q4/tiny-Q4-00001-of-00002.gguf")
        assert chosen(SHARDS + others, files=SHARDS[:1]) == set(SHARDS)

    @pytest.mark.parametrize("missing", SHARDS[1:])
    def test_a_missing_shard_is_named(self, missing: str) -> None:
        left = tuple(path for path in SHARDS if path != missing)
        for error in (refusal(left, files=SHARDS[:1]), refusal(left), refusal(left, include=("Q4/*",))):
            assert error.code is ExitCode.NOT_FOUND
            assert missing in error.cause

    def test_a_lonely_first_shard_is_no_model(self) -> None:
        assert SHARDS[1] in refusal((SHARDS[0],), files=SHARDS[:1]).cause

    def test_one_shard_of_one_is_a_whole_file(self) -> None:
        assert chosen(("tiny-00001-of-00001.gguf",), files=("tiny-00001-of-00001.gguf",)) == {
            "tiny-00001-of-00001.gguf"
        }

    def test_many_missing_shards_are_named_shortly(self) -> None:
        error = refusal(("tiny-00001-of-99999.gguf",))
        assert (
            "tiny-00002-of-99999.gguf, tiny-00003-of-99999.gguf, tiny-00004-of-99999.gguf and 99995 more" in error.cause
        )


class TestSafetensors:
    def test_the_index_and_all_shards_come_with_the_small_files(self) -> None:
        assert chosen((*MODEL, INDEX, *SMALL)) == {*MODEL, INDEX, *SMALL}

    def test_a_missing_shard_is_named_where_none_was_chosen_by_name(self) -> None:
        paths = (MODEL[0], INDEX, *SMALL)
        for error in (refusal(paths), refusal(paths, include=("*.safetensors",))):
            assert error.code is ExitCode.NOT_FOUND
            assert MODEL[1] in error.cause
        assert chosen(paths, files=MODEL[:1]) == {MODEL[0]}
        assert chosen(paths, exclude=("model-*",)) == {INDEX, *SMALL}

    def test_a_part_of_a_whole_set_may_be_chosen(self) -> None:
        assert chosen((*MODEL, INDEX), include=("*-00002-*",)) == {MODEL[1]}

    @pytest.mark.parametrize(
        "names",
        [
            ["model-1-of-3", "model-2-of-3", "model-3-of-3"],
            ["model-00001-of-000003", "model-00002-of-000003", "model-00003-of-000003"],
            ["model-00000-of-00003", "model-00001-of-00003", "model-00002-of-00003"],
            ["model-00000-of-00002", "model-00001-of-00002", "model-00002-of-00002"],
        ],
        ids=["no zeros", "other widths", "from zero", "from zero to the total"],
    )
    def test_sets_are_whole_however_their_writer_counts(self, names: list[str]) -> None:
        paths = tuple(f"{name}.safetensors" for name in names)
        assert chosen(paths) == set(paths)
        assert paths[1] in refusal((paths[0], paths[2])).cause

    def test_a_number_that_is_no_shard_is_part_of_a_name(self) -> None:
        names = ("model-0-of-0.safetensors", "table-1-of-3.json")
        assert chosen(names) == set(names)

    def test_second_copies_are_left_out(self) -> None:
        copies = (
            *(
                "consolidated.safetensors",
                "consolidated-00001-of-00009.safetensors",
                "consolidated.safetensors.index.json",
            ),
            *("original/consolidated.00.pth", "original/params.json", "model-q4.gguf", "model-q8.gguf"),
            *("pytorch_model.bin", "onnx/model.onnx", "onnx/model.onnx_data", "tf_model.h5", "flax_model.msgpack"),
        )
        assert chosen((*MODEL, INDEX, *SMALL, *copies)) == {*MODEL, INDEX, *SMALL}

    def test_second_copies_are_fetched_where_they_are_asked_for(self) -> None:
        paths = ("consolidated.safetensors", "original/params.json", *MODEL)
        assert chosen(paths, include=("consolidated*",)) == {"consolidated.safetensors"}
        assert chosen(paths, files=("original/params.json",)) == {"original/params.json"}
        assert chosen(paths, exclude=("model-*",)) == {"consolidated.safetensors", "original/params.json"}

    def test_a_copy_without_its_twin_is_the_model(self) -> None:
        paths = ("consolidated.safetensors", "params.json", "model/tiny.safetensors")
        assert chosen(paths) == set(paths)


class TestGguf:
    SEVERAL = ("tiny-Q4_K_M.gguf", "tiny-Q8_0.gguf", *SHARDS)

    def test_several_models_are_refused_with_their_sizes(self) -> None:
        error = refusal((*self.SEVERAL, "mmproj-F16.gguf", "README.md"))
        assert error.code is ExitCode.POLICY
        assert "4 GGUF models" in error.cause
        assert f"{SHARDS[0]} (3.0 GiB)" in error.cause
        assert "tiny-Q4_K_M.gguf (1.0 GiB)" in error.cause
        assert "mmproj-F16.gguf (1.0 GiB)" in error.cause
        assert "--file Q4/tiny-Q4-00001-of-00003.gguf" in error.action

    def test_a_size_that_nobody_knows_is_said_so(self) -> None:
        source = parse_source("hf://acme/tiny")
        with pytest.raises(DownloaderError) as raised:
            select({"a.gguf": None, "b.gguf": 5}, source)
        assert "a.gguf (size unknown), b.gguf (5 B)" in raised.value.cause

    def test_a_long_list_of_models_is_cut(self) -> None:
        assert refusal(tuple(f"q{number:02}.gguf" for number in range(40))).cause.endswith("and 28 more")

    @pytest.mark.parametrize(
        ("selection", "paths"),
        [
            ({"files": ("tiny-Q8_0.gguf",)}, {"tiny-Q8_0.gguf"}),
            ({"include": ("*Q8*",)}, {"tiny-Q8_0.gguf"}),
            ({"include": ("*.gguf",)}, set(SEVERAL)),
            ({"exclude": ("*Q4*",)}, {"tiny-Q8_0.gguf"}),
        ],
    )
    def test_a_choice_is_followed(self, selection: dict[str, tuple[str, ...]], paths: set[str]) -> None:
        assert chosen(self.SEVERAL, **selection) == paths

    def test_one_model_comes_with_its_projector_and_small_files(self) -> None:
        paths = (*SHARDS, "mmproj-F16.gguf", *SMALL)
        assert chosen(paths) == set(paths)

    def test_several_projectors_are_a_choice_too(self) -> None:
        error = refusal(("tiny.gguf", "mmproj-F16.gguf", "mmproj-BF16.gguf"))
        assert error.code is ExitCode.POLICY
        assert "--file mmproj-BF16.gguf" in error.action

    def test_the_advice_names_a_model_and_no_projector(self) -> None:
        assert "--file tiny-a.gguf" in refusal(("mmproj-F16.gguf", "tiny-a.gguf", "tiny-b.gguf")).action

    def test_a_model_that_is_named_stays_the_only_file(self) -> None:
        assert chosen(("tiny.gguf", "mmproj-F16.gguf", *SMALL), files=("tiny.gguf",)) == {"tiny.gguf"}

    def test_importance_matrices_are_no_models(self) -> None:
        assert chosen(("tiny.gguf", "imatrix.gguf", "q4/imatrix.dat", "tiny.imatrix")) == {"tiny.gguf"}


class TestPickles:
    @pytest.mark.parametrize(
        "name", ["pytorch_model.bin", "a/model.pt", "consolidated.00.PTH", "last.ckpt", "x.pkl", "x.pickle", "x.joblib"]
    )
    def test_they_are_refused_unless_asked_for(self, name: str) -> None:
        for error in (refusal((name, *SMALL)), refusal((name, *SMALL), include=("*",))):
            assert error.code is ExitCode.POLICY
            assert name in error.cause
            assert "--include '*." in error.action

    def test_an_include_pattern_with_their_suffix_asks_for_them(self) -> None:
        paths = ("pytorch_model.bin", "training.pt", *SMALL)
        assert chosen(paths, include=("*.bin", "*.json")) == {"pytorch_model.bin", *SMALL}
        assert "training.pt" in refusal(paths, include=("*.bin", "*")).cause

    def test_whoever_names_them_gets_them(self) -> None:
        assert chosen(("pytorch_model.bin", *SMALL), files=("pytorch_model.bin",)) == {"pytorch_model.bin"}

    def test_whoever_leaves_them_out_gets_the_rest(self) -> None:
        assert chosen(("pytorch_model.bin", *SMALL), exclude=("*.bin",)) == set(SMALL)

    def test_beside_better_weights_they_are_left_out_quietly(self) -> None:
        assert chosen(("pytorch_model.bin", "training_args.bin", "tiny.gguf")) == {"tiny.gguf"}
        assert chosen(("pytorch_model.bin", "optimizer.pt", "model.safetensors")) == {"model.safetensors"}


def test_what_is_not_model_is_not_fetched() -> None:
    names = (".gitattributes", ".cache/huggingface/download/x.metadata", "README.md", "docs/a.pdf", "a.png", "LICENSE")
    assert chosen((*names, *SMALL)) == {"LICENSE", *SMALL}


def test_a_folder_is_selected_like_a_repository(run: Run, root: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for number, name in enumerate(("a.gguf", "b.gguf", "x-00001-of-00002.gguf", "x-00002-of-00002.gguf")):
        (place / name).write_bytes(gguf(2000, seed=number))
    refused = run("fetch", f"file://{place}", "--root", root)
    assert refused.code == 21
    assert "b.gguf (2.0 KiB), x-00001-of-00002.gguf (3.9 KiB)" in refused.err
    sharded = run("fetch", f"file://{place}", "--root", root, "--file", "x-00001-of-00002.gguf", "-o", "json")
    assert [file["path"] for file in sharded.json["files"]] == ["x-00001-of-00002.gguf", "x-00002-of-00002.gguf"]


def test_the_first_shard_stands_for_all_as_a_path_too(run: Run, root: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"x-0000{number}-of-00002.gguf").write_bytes(gguf(2000, seed=number))
    done = run("fetch", f"file://{tmp_path}/x-00001-of-00002.gguf", "--root", root, "-o", "json")
    assert [file["path"] for file in done.json["files"]] == ["x-00001-of-00002.gguf", "x-00002-of-00002.gguf"]
    (tmp_path / "x-00002-of-00002.gguf").unlink()
    refused = run("fetch", f"file://{tmp_path}/x-00001-of-00002.gguf", "--root", root / "other")
    assert refused.code == 12
    assert "x-00002-of-00002.gguf" in refused.err


def test_nothing_is_selected_of_one_file(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(safetensors())
    assert run("fetch", f"file://{tmp_path}/model.safetensors", "--root", root, "--include", "*").code == 10
