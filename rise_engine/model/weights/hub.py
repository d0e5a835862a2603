"""Download files from the Hugging Face hub into the user's cache, and verify them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from rise_engine.errors import WeightsError

TIMEOUT = 10.0
"""Seconds to wait for the hub; the library's five attempts take half a minute without a network connection."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the hub."""

    repository: str
    name: str
    """Its path in the repository."""
    revision: str = "main"
    """A branch or a commit."""
    sha256: str | None = None

    @property
    def address(self) -> str:
        """The URL for a browser."""
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.name}"


def fetch(file: HubFile) -> Path:
    """The file in the hub's cache (``HF_HOME``, where timm has its weights too), downloaded if missing.

    The library downloads to a temporary name and renames, so a partial file is never used. The content is compared
    with ``file.sha256`` or, when that is None, with the hub's own sha256 of a large file, which is the name of the
    cached file. The latter detects transfer errors but trusts the hub; it is skipped on systems without links in the
    cache. Raises ``WeightsError`` when the download fails or the content differs.
    """
    # Imported here, because it loads a network client that most runs do not need.
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    cached = try_to_load_from_cache(file.repository, file.name, revision=file.revision)
    try:
        if not isinstance(cached, str):
            get_hf_file_metadata(hf_hub_url(file.repository, file.name, revision=file.revision), timeout=TIMEOUT)
            cached = hf_hub_download(file.repository, file.name, revision=file.revision)
    except Exception as error:  # errors of the network, the disk and the hub have no common type
        raise WeightsError(f"{file.address} could not be fetched ({_first_line(error)})") from error
    path = Path(cached)
    expected = file.sha256 or _named_sha256(path)
    if expected is not None and _sha256(path) != expected:
        content = path.resolve()
        path.unlink()
        content.unlink(missing_ok=True)
        raise WeightsError(f"The download from {file.address} is not the expected file (its sha256 differs)")
    return path


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _named_sha256(path: Path) -> str | None:
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
