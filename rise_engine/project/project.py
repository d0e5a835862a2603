"""A project: the folder ``NAME.rise`` on disk, next to a folder of images."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.project.annotations import Annotations
from rise_engine.project.database.bulk_import import BulkImport, bulk_import
from rise_engine.project.database.damage import reading
from rise_engine.project.database.journal import Journal
from rise_engine.project.database.store import Store
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame, labelled_frame, unlabelled_frame
from rise_engine.project.frames import Frames
from rise_engine.project.image_file import read_image
from rise_engine.project.image_folder import PassedOver, image_names
from rise_engine.project.predictions import Predictions
from rise_engine.project.records import (
    ScanReport,
)
from rise_engine.project.runs import Runs
from rise_engine.project.segmentation import mask_of_another_size
from rise_engine.project.upright import imported_polygons, size_conflict

FILE_NAME = "project.sqlite"
RUNS = "runs"


class Project:
    """An open project. Several threads and several processes may use it at the same time.

    Its parts have the methods: ``frames`` (the images, their states and splits), ``annotations`` (categories and
    instances), ``predictions`` (of the runs), ``runs`` (the trainings) and ``journal`` (edits, undo and redo). Every
    edit is one committed transaction with an entry in the journal. All methods raise RiseError with a message for the
    user when something is wrong with the input or the disk. ``store`` is the database; only this package uses it.
    """

    def __init__(self, path: Path, *, read_only: bool = False, exclusive: bool = False) -> None:
        """Use ``create`` or ``open``."""
        self.path = path
        self._lock: FileLock | None = None
        reason = "it was opened read-only" if read_only else None
        if reason is None and not os.access(path, os.W_OK):
            reason = "its folder is read-only"
        if reason is None and exclusive:
            self._lock, reason = _take_lock(path)
        try:
            self.store = Store(path / FILE_NAME, read_only=reason is not None, read_only_reason=reason or "")
        except BaseException:
            self._release()
            raise
        self.journal = Journal(self.store)
        self.frames = Frames(self.store, self.journal)
        self.annotations = Annotations(self.store, self.journal)
        self.predictions = Predictions(self.store, self.journal)
        self.runs = Runs(self.store, path / RUNS)

    @staticmethod
    def default_path(images: Path) -> Path:
        """The default project folder of an image folder: ``totes.rise`` next to ``totes``."""
        images = Path(images).absolute()
        return images.parent / f"{images.name}.rise"

    @classmethod
    def create(cls, path: Path, images: Path, *, exist_ok: bool = False) -> Self:
        """Make a project for a folder of images and open it; call ``scan`` to find the frames.

        With ``exist_ok``, an existing project of the same image folder is opened instead.
        """
        path, images = Path(path).absolute(), Path(images).absolute()
        if images.is_file():
            raise RiseError(f"{images} is a file; give the folder that holds the images.")
        if not images.is_dir():
            raise RiseError(f"The image folder {images} does not exist; give the folder of the images.")
        if path.resolve() == images.resolve():
            raise RiseError(f"{path} holds the images; choose another folder for it, such as {path.name}.rise.")
        if (path / FILE_NAME).exists():
            if not exist_ok:
                raise RiseError(f"There is a project at {path} already; open it, or choose another folder.")
            project = cls.open(path)
            if project.images.resolve() != images.resolve():
                known = project.images
                project.close()
                raise RiseError(
                    f"The project {path} belongs to the images in {known}, not {images}; move its images first."
                )
            return project
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RiseError(
                f"Could not make the project folder {path} ({error.strerror}); choose another place."
            ) from error
        if not os.access(path, os.W_OK):
            raise RiseError(f"The folder {path} is read-only; choose another place for the project.")
        try:
            project = cls(path)
            project._set_images(images)
        except RiseError:
            # Half a project, such as after a full disk, would block the next attempt.
            for suffix in ("", "-wal", "-shm", "-journal"):
                (path / f"{FILE_NAME}{suffix}").unlink(missing_ok=True)
            raise
        return project

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False, exclusive: bool = False) -> Self:
        """Open a project. With ``exclusive``, for windows, only the first one may write; later ones are read-only."""
        path = Path(path).absolute()
        if not (path / FILE_NAME).is_file():
            raise RiseError(f"There is no project at {path}; make one from a folder of images first.")
        project = cls(path, read_only=read_only, exclusive=exclusive)
        if project.setting("images") is None:
            project.close()
            raise RiseError(f"The project {path} was never finished; delete the folder and make it again.")
        return project

    @property
    def read_only(self) -> bool:
        """Whether edits are refused; ``read_only_reason`` has the reason."""
        return self.store.read_only

    @property
    def read_only_reason(self) -> str:
        """The reason why edits are refused, as a phrase; empty when they are allowed."""
        return self.store.read_only_reason if self.store.read_only else ""

    @property
    def images(self) -> Path:
        """The image folder."""
        return Path(os.path.normpath(self.path / str(self.setting("images"))))

    def relink(self, images: Path) -> None:
        """Change the image folder. Raises RiseError when it contains none of the frames."""
        images = Path(images).absolute()
        frames = self.frames.all()
        if frames and not any((images / frame.name).is_file() for frame in frames):
            raise RiseError(
                f"None of the project's {len(frames)} frames is in {images}; choose the folder that holds them."
            )
        self._set_images(images)

    def close(self) -> None:
        """Close the database and release the lock of the window."""
        self.store.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Frames

    def scan(self) -> ScanReport:
        """Find new image files in the image folder and its subfolders; no image is decoded."""
        return self.frames.scan(self.images, inside=self.setting("frames_inside"))

    def passed_over(self) -> PassedOver:
        """The files of the image folder that are no frames; empty when the folder is gone."""
        return image_names(self.images)[1] if self.images.is_dir() else PassedOver()

    def probe(self, frame: int) -> tuple[int, int]:
        """(width, height) in pixels after EXIF orientation, from the file's header."""
        return self.probe_many([frame])[frame]

    def probe_many(self, frames: Iterable[int]) -> dict[int, tuple[int, int]]:
        """The sizes of many frames, stored in one transaction; pass a few hundred frames at a time."""
        return self.frames.probe(self.images, frames)

    def require_own_size(self, frame: int) -> None:
        """Raise RiseError naming the frame when annotations of it were made on an image of another size."""
        instances = self.annotations.of_frame(frame)
        if not instances:
            return
        width, height = self.probe(frame)
        name = self.frames.get(frame).name
        words = size_conflict(self.frames.annotated_size(frame), (width, height), imported_polygons(instances))
        if words is not None:
            raise RiseError(f"{name}: {words}")
        for instance in instances:
            segmentation = instance.segmentation
            if isinstance(segmentation, dict) and segmentation.get("size") != [height, width]:
                raise RiseError(f"{name}: {mask_of_another_size(segmentation.get('size'), height, width)}")

    def image(self, frame: int) -> NDArray[np.uint8]:
        """The image, uint8 (H, W, 3) RGB, with EXIF orientation applied."""
        return read_image(self.images / self.frames.get(frame).name).pixels

    def labelled_frame(
        self, frame: int, *, short_side: int | None = None, classes: Mapping[int, int] | None = None
    ) -> LabelledFrame:
        """A frame with its targets, optionally resized so that its shortest side is ``short_side`` pixels.

        ``classes`` maps category ids to class indices; without it, all objects have class 0. Crowds, empty masks and
        objects of other categories are left out.
        """
        if classes is None:
            classes = {category.id: 0 for category in self.annotations.categories()}
        record = self.frames.get(frame)
        return labelled_frame(
            self.images,
            record,
            self.annotations.of_frame(frame),
            classes,
            made_for=self.frames.annotated_size(frame),
            short_side=short_side,
        )

    def unlabelled_frame(self, frame: int, *, short_side: int | None = None) -> UnlabelledFrame:
        """A frame without targets, even if the frame has annotations."""
        return unlabelled_frame(self.images, self.frames.get(frame), short_side=short_side)

    # Import

    def bulk_import(self) -> AbstractContextManager[BulkImport]:
        """Import hundreds of thousands of annotations that become visible at one moment or never; one at a time.

        Rows that are not shown when the block raises are removed. Raises RiseError when the project is read-only or
        another import goes on for long.
        """
        return bulk_import(self.store)

    # Settings

    @reading("settings")
    def setting(self, key: str, default: Any = None) -> Any:
        """A small value that is stored with the project."""
        rows = self.store.read("SELECT value FROM settings WHERE key = ?", (key,))
        return json.loads(rows[0]["value"]) if rows else default

    def set_setting(self, key: str, value: Any) -> None:
        """Store a small JSON value with the project; no edit, so never undone."""
        with self.store.write() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, json.dumps(value)))

    def _set_images(self, images: Path) -> None:
        # A relative path where possible, so that a project can be moved together with its images.
        try:
            self.set_setting("images", Path(os.path.relpath(images, self.path)).as_posix())
        except ValueError:
            self.set_setting("images", images.as_posix())

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _take_lock(path: Path) -> tuple[FileLock | None, str | None]:
    """The window's lock, or the reason why the project opens read-only."""
    lock = FileLock(path / "window.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None, "another window has it open"
    except (OSError, NotImplementedError):
        # Some network file systems have no locks; then the project is opened without one.
        return None, None
    return lock, None
