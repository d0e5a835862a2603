from __future__ import annotations

import hashlib
from pathlib import Path

import huggingface_hub
import pytest

from rise_engine.errors import WeightsError
from rise_engine.model.weights.hub import HubFile, fetch

CONTENT = b"tensors"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class FakeHub:
    """The hub's client with a cache as the real one lays it out: named by content, linked from a snapshot."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.online = True
        self.downloads: list[tuple[str, str, str]] = []
        self.arrives = CONTENT
        self.stored_as = SHA256

    def cached(self, repository: str, name: str, revision: str) -> str | None:
        path = self.cache / "snapshots" / revision / name
        return str(path) if path.exists() else None

    def head(self, address: str, timeout: float) -> None:
        if not self.online:
            raise ConnectionError("Name or service not known\nfurther lines")

    def download(self, repository: str, name: str, revision: str) -> str:
        self.downloads.append((repository, name, revision))
        blob = self.cache / "blobs" / self.stored_as
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(self.arrives)
        link = self.cache / "snapshots" / revision / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
        return str(link)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", hub.cached)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", hub.head)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.download)
    return hub


FILE = HubFile("someone/network", "IDOL/weights.pth", "abc")


def test_a_file_is_fetched_once(hub: FakeHub) -> None:
    assert fetch(FILE).read_bytes() == CONTENT
    hub.online = False
    assert fetch(FILE).read_bytes() == CONTENT
    assert hub.downloads == [("someone/network", "IDOL/weights.pth", "abc")]


def test_without_a_network_the_reason_and_the_address_are_told(hub: FakeHub) -> None:
    hub.online = False
    with pytest.raises(WeightsError) as failure:
        fetch(FILE)
    assert str(failure.value) == (
        "https://huggingface.co/someone/network/resolve/abc/IDOL/weights.pth could not be fetched "
        "(Name or service not known)"
    )
    assert hub.downloads == []


@pytest.mark.parametrize("known", [SHA256, None], ids=["known sha256", "sha256 of the hub"])
def test_a_damaged_file_is_refused_and_not_kept(hub: FakeHub, tmp_path: Path, known: str | None) -> None:
    hub.arrives = b"tensor"
    file = HubFile(FILE.repository, FILE.name, FILE.revision, sha256=known)
    with pytest.raises(WeightsError, match="sha256 differs"):
        fetch(file)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
    hub.arrives = CONTENT
    assert fetch(file).read_bytes() == CONTENT


def test_a_known_sha256_does_not_trust_the_hub(hub: FakeHub) -> None:
    hub.arrives = b"another network"
    hub.stored_as = hashlib.sha256(hub.arrives).hexdigest()
    with pytest.raises(WeightsError, match="sha256 differs"):
        fetch(HubFile(FILE.repository, FILE.name, FILE.revision, sha256=SHA256))


def test_a_cache_without_links_is_not_compared_with_the_hub(hub: FakeHub) -> None:
    hub.stored_as = "weights.pth"
    assert fetch(FILE).read_bytes() == CONTENT
