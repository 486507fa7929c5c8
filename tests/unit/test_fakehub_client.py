"""The real Hugging Face client works against the fake hub, unmodified."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import get_hf_file_metadata
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._http import close_session, default_client_factory, set_client_factory

from fakehub import FakeHub, Fault, fingerprint, write_repository

TOKEN = "hf_canary"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": os.urandom(300_000),
    "tokenizer/vocab.txt": b"a\nb\n",
}


@pytest.fixture(autouse=True)
def _the_client_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No account of this machine, and no session that another test set up in this process."""
    set_client_factory(default_client_factory)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    yield
    close_session()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    root = tmp_path / "hub"
    write_repository(root, "acme/tiny", FILES, tags={"v1.0": "main"})
    write_repository(root, "acme/private", FILES, private=True, token=TOKEN)
    write_repository(root, "acme/gated", FILES, gated="manual", token=TOKEN)
    with FakeHub(root) as hub:
        yield hub


def tree_of(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_snapshot_download_fetches_every_file(hub: FakeHub, tmp_path: Path) -> None:
    snapshot = snapshot_download("acme/tiny", endpoint=hub.endpoint, cache_dir=tmp_path / "cache")
    assert tree_of(Path(snapshot)) == FILES
    assert Path(snapshot).name == HfApi(hub.endpoint).model_info("acme/tiny").sha


def test_hf_hub_download_fetches_one_file_through_the_cdn(hub: FakeHub, tmp_path: Path) -> None:
    file = hf_hub_download("acme/tiny", "model.safetensors", endpoint=hub.endpoint, cache_dir=tmp_path, revision="v1.0")
    assert Path(file).read_bytes() == FILES["model.safetensors"]
    assert hub.requests.bytes_sent("cdn") == len(FILES["model.safetensors"])


def test_the_command_line_client_downloads_with_nothing_but_hf_endpoint(hub: FakeHub, tmp_path: Path) -> None:
    environment = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "PATH": os.environ["PATH"],
    }
    target = tmp_path / "target"
    command = [str(Path(sys.executable).with_name("hf")), "download", "acme/private", "--local-dir", str(target)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert tree_of(target) == FILES
    assert {record.authorization for record in hub.requests.of("cdn")} == {None}


def test_the_clients_metadata_is_what_lies_on_disk(hub: FakeHub) -> None:
    api = HfApi(hub.endpoint)
    info = api.model_info("acme/tiny", files_metadata=True)
    assert info.siblings is not None
    assert {sibling.rfilename: sibling.size for sibling in info.siblings} == {k: len(v) for k, v in FILES.items()}
    weights = FILES["model.safetensors"]
    (listed,) = (file for file in info.siblings if file.rfilename == "model.safetensors")
    assert listed.lfs is not None
    assert listed.lfs.sha256 == hashlib.sha256(weights).hexdigest()
    url = hf_hub_url("acme/tiny", "model.safetensors", endpoint=hub.endpoint)
    metadata = get_hf_file_metadata(url)
    assert (metadata.etag, metadata.size, metadata.commit_hash) == (listed.lfs.sha256, len(weights), info.sha)
    assert metadata.location.startswith(hub.cdn_url)
    assert api.model_info("acme/tiny", expand=["sha"]).siblings is None


def test_the_client_sees_no_sign_of_xet_and_so_takes_plain_http(hub: FakeHub) -> None:
    """It takes xet for files whose metadata name a xet hash and a way to xet credentials."""
    url = hf_hub_url("acme/tiny", "model.safetensors", endpoint=hub.endpoint)
    assert get_hf_file_metadata(url).xet_file_data is None
    (entry,) = HfApi(hub.endpoint).get_paths_info("acme/tiny", ["model.safetensors"])
    assert isinstance(entry, RepoFile)
    assert entry.xet_hash is None


def test_trees_are_listed_page_by_page(tmp_path: Path) -> None:
    files = {f"part{n}.txt": b"" for n in range(5)} | {"sub/deep/last.txt": b"z"}
    write_repository(tmp_path, "acme/many", files)
    with FakeHub(tmp_path, page_size=2) as hub:
        api = HfApi(hub.endpoint)
        assert api.list_repo_files("acme/many") == sorted(files)
        assert len(hub.requests) == 4
        assert [entry.path for entry in api.list_repo_tree("acme/many", "sub")] == ["sub/deep"]
        assert [entry.path for entry in api.list_repo_tree("acme/many", "sub", recursive=True)] == [
            "sub/deep",
            "sub/deep/last.txt",
        ]


def test_expanded_trees_are_listed_in_smaller_pages(tmp_path: Path) -> None:
    write_repository(tmp_path, "acme/many", {f"{n}.txt": b"" for n in range(51)})
    with FakeHub(tmp_path) as hub:
        assert len(list(HfApi(hub.endpoint).list_repo_tree("acme/many", expand=True))) == 51
        assert len(hub.requests) == 2


def test_paths_info_knows_files_and_folders_and_expands_them(hub: FakeHub) -> None:
    api = HfApi(hub.endpoint)
    entries = api.get_paths_info("acme/tiny", ["tokenizer", "config.json", "absent"], expand=True, revision="v1.0")
    assert [entry.path for entry in entries] == ["tokenizer", "config.json"]
    assert all(entry.last_commit and entry.last_commit.oid == api.model_info("acme/tiny").sha for entry in entries)


def test_refs_tell_branches_tags_and_pull_requests(hub: FakeHub, tmp_path: Path) -> None:
    write_repository(tmp_path / "hub", "acme/tiny", {"a.txt": b"a"}, revision="refs/pr/1")
    write_repository(tmp_path / "hub", "acme/tiny", FILES, revision="v1.0", tags={"v1.0": "v1.0"})
    refs = HfApi(hub.endpoint).list_repo_refs("acme/tiny", include_pull_requests=True)
    assert [ref.ref for ref in refs.branches] == ["refs/heads/main"]
    assert [ref.ref for ref in refs.tags] == ["refs/tags/v1.0"]
    assert refs.pull_requests is not None
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"]
    assert refs.branches[0].target_commit == refs.tags[0].target_commit != refs.pull_requests[0].target_commit


def test_a_private_repository_is_seen_with_its_token_only(hub: FakeHub, tmp_path: Path) -> None:
    for token in (False, "hf_somebody_else"):
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download("acme/private", "config.json", endpoint=hub.endpoint, cache_dir=tmp_path, token=token)
        with pytest.raises(RepositoryNotFoundError):
            HfApi(hub.endpoint).model_info("acme/private", token=token)
    snapshot_download("acme/private", endpoint=hub.endpoint, cache_dir=tmp_path, token=TOKEN)


def test_a_gated_repository_is_described_to_all_but_its_files_are_guarded(hub: FakeHub, tmp_path: Path) -> None:
    api = HfApi(hub.endpoint)
    assert api.model_info("acme/gated", token=False).gated == "manual"
    for token, status in ((False, 401), ("hf_somebody_else", 403)):
        with pytest.raises(GatedRepoError) as error:
            hf_hub_download("acme/gated", "config.json", endpoint=hub.endpoint, cache_dir=tmp_path, token=token)
        assert error.value.response.status_code == status
        with pytest.raises(GatedRepoError):
            api.auth_check("acme/gated", token=token)
    api.auth_check("acme/gated", token=TOKEN)
    snapshot_download("acme/gated", endpoint=hub.endpoint, cache_dir=tmp_path, token=TOKEN)


def test_a_token_that_is_none_is_refused_even_where_none_is_needed(hub: FakeHub) -> None:
    with pytest.raises(HfHubHTTPError, match="Invalid credentials in Authorization header") as error:
        HfApi(hub.endpoint).model_info("acme/tiny", token="expired")
    assert not isinstance(error.value, RepositoryNotFoundError)


def test_missing_revisions_and_files_are_the_clients_own_errors(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(RevisionNotFoundError):
        snapshot_download("acme/tiny", revision="absent", endpoint=hub.endpoint, cache_dir=tmp_path)
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("acme/tiny", "absent.json", endpoint=hub.endpoint, cache_dir=tmp_path)


def test_the_client_sends_its_token_to_the_hub_and_never_to_the_cdn(hub: FakeHub, tmp_path: Path) -> None:
    snapshot_download("acme/private", endpoint=hub.endpoint, cache_dir=tmp_path, token=TOKEN)
    url = hf_hub_url("acme/private", "model.safetensors", endpoint=hub.endpoint)
    HfApi(hub.endpoint, token=TOKEN).get_paths_info("acme/private", "config.json")
    assert get_hf_file_metadata(url, token=TOKEN).location.startswith(hub.cdn_url)
    assert {record.authorization for record in hub.requests.of("hub")} == {fingerprint(TOKEN)}
    assert {record.authorization for record in hub.requests.of("cdn")} == {None}


def test_the_client_resumes_a_truncated_download_after_its_last_whole_chunk(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 400)
    hub.faults.add(Fault(listener="cdn", nth=1, truncate_at=1000))
    file = hf_hub_download("acme/tiny", "model.safetensors", endpoint=hub.endpoint, cache_dir=tmp_path)
    assert Path(file).read_bytes() == FILES["model.safetensors"]
    assert [record.range for record in hub.requests.of("cdn")] == [None, "bytes=800-"]


def test_the_client_accepts_wrong_bytes_of_the_right_size(hub: FakeHub, tmp_path: Path) -> None:
    """Only a downloader that hashes what it wrote notices."""
    hub.faults.add(Fault(listener="cdn", corrupt_at=5))
    file = hf_hub_download("acme/tiny", "model.safetensors", endpoint=hub.endpoint, cache_dir=tmp_path)
    assert Path(file).stat().st_size == len(FILES["model.safetensors"])
    assert Path(file).read_bytes() != FILES["model.safetensors"]
