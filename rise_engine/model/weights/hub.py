"""Files of the Hugging Face hub: from the user's cache, or fetched once."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from rise_engine.errors import WeightsError

PATIENCE = 10.0
"""Seconds that the hub has to answer; the library's own five attempts take half a minute without a network."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the hub."""

    repository: str
    name: str
    """Its path in the repository."""
    revision: str = "main"
    """A branch, or the one commit whose file is meant."""
    sha256: str | None = None

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.name}"


def fetch(file: HubFile) -> Path:
    """The file in the hub's cache (``HF_HOME``, where timm keeps its weights too), downloaded when it is not there.

    The library downloads beside the place and renames, so that half a file is never taken for a whole one. The
    content is compared with ``file.sha256``, or, where that is not known, with the sha256 that the hub itself keeps
    of a large file and names the cached one by. The latter finds damage on the way but trusts the hub; it is left out
    on systems whose cache cannot hold links. Raises ``WeightsError`` when the file cannot be had or is another one.
    """
    # Brings a network client along, which most runs do not need.
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    cached = try_to_load_from_cache(file.repository, file.name, revision=file.revision)
    try:
        if not isinstance(cached, str):
            get_hf_file_metadata(hf_hub_url(file.repository, file.name, revision=file.revision), timeout=PATIENCE)
            cached = hf_hub_download(file.repository, file.name, revision=file.revision)
    except Exception as error:  # the network's, the disk's, the hub's: they share no type
        raise WeightsError(f"{file.address} could not be fetched ({_in_brief(error)})") from error
    path = Path(cached)
    expected = file.sha256 or _named_sha256(path)
    if expected is not None and _sha256(path) != expected:
        content = path.resolve()
        path.unlink()
        content.unlink(missing_ok=True)
        raise WeightsError(f"what came from {file.address} is not the file that was meant (its sha256 differs)")
    return path


def _in_brief(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _named_sha256(path: Path) -> str | None:
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
