"""What the user owns on disk: a project folder beside a folder of images."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.project.annotations import Annotations
from rise_engine.project.database.damage import reading
from rise_engine.project.database.journal import Journal
from rise_engine.project.database.store import Store
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame
from rise_engine.project.frame_reading import labelled_frame, unlabelled_frame
from rise_engine.project.frames import Frames
from rise_engine.project.image_file import read_image
from rise_engine.project.predictions import Predictions
from rise_engine.project.records import (
    Category,
    FrameRecord,
    FrameState,
    HistoryEntry,
    Instance,
    RunRecord,
    ScanReport,
    Split,
)
from rise_engine.project.runs import Runs
from rise_engine.project.segmentation import Segmentation

FILE_NAME = "project.sqlite"


class Project:
    """An open project. Safe to use from several threads, and beside other processes that have it open.

    Every edit is one committed transaction with an entry in the journal. All methods raise RiseError with a sentence
    for the person when something is wrong with the input or the disk.
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
        self._frames = Frames(self.store, self.journal)
        self._annotations = Annotations(self.store, self.journal)
        self._predictions = Predictions(self.store, self.journal)
        self._runs = Runs(self.store, path / "runs")

    @staticmethod
    def default_path(images: Path) -> Path:
        """Where the project of an image folder lies: ``totes`` -> ``totes.rise`` beside it."""
        images = Path(images).absolute()
        return images.parent / f"{images.name}.rise"

    @classmethod
    def create(cls, path: Path, images: Path, *, exist_ok: bool = False) -> Self:
        """Make a project for a folder of images and open it; ``scan`` then finds the frames.

        With ``exist_ok`` a project that is there already is opened, whose images must be the same folder.
        """
        path, images = Path(path).absolute(), Path(images).absolute()
        if images.is_file():
            raise RiseError(f"{images} is a file; give the folder that holds the images.")
        if not images.is_dir():
            raise RiseError(f"The image folder {images} does not exist; say where the images are.")
        if path.resolve() == images.resolve():
            raise RiseError(f"{path} holds the images; name another folder for the project, {path.name}.rise say.")
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
            # On a full disk, say: the half of a project would be in the way of the next attempt.
            for suffix in ("", "-wal", "-shm", "-journal"):
                (path / f"{FILE_NAME}{suffix}").unlink(missing_ok=True)
            raise
        return project

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False, exclusive: bool = False) -> Self:
        """Open a project. ``exclusive`` is for a window: only the first one may write, later ones are ``read_only``."""
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
        """Whether edits are refused; ``read_only_reason`` says why."""
        return self.store.read_only

    @property
    def read_only_reason(self) -> str:
        """In a few words, why edits are refused; empty when they are not."""
        return self.store.read_only_reason if self.store.read_only else ""

    @property
    def images(self) -> Path:
        """The image folder."""
        return Path(os.path.normpath(self.path / str(self.setting("images"))))

    def relink(self, images: Path) -> None:
        """Say where the images are now. Raises RiseError when none of the frames is there."""
        images = Path(images).absolute()
        frames = self.frames()
        if frames and not any((images / frame.name).is_file() for frame in frames):
            raise RiseError(
                f"None of the project's {len(frames)} frames is in {images}; choose the folder that holds them."
            )
        self._set_images(images)

    def close(self) -> None:
        """Close the file and let another window write."""
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
        """Look for new image files below the image folder; nothing is decoded."""
        return self._frames.scan(self.images, inside=self.setting("frames_inside"))

    def frames(self, *, state: FrameState | None = None, split: Split | None = None) -> list[FrameRecord]:
        """Frames in natural order of their names (``tote2`` before ``tote10``)."""
        return self._frames.all(state=state, split=split)

    def frame(self, name_or_id: str | int) -> FrameRecord:
        """One frame, by file name or number."""
        return self._frames.get(name_or_id)

    def counts(self) -> dict[FrameState, int]:
        """How many frames are in each state."""
        return self._frames.counts()

    def probe(self, frame: int) -> tuple[int, int]:
        """(width, height) in pixels after EXIF orientation, from the file's header."""
        return self.probe_many([frame])[frame]

    def probe_many(self, frames: Iterable[int]) -> dict[int, tuple[int, int]]:
        """The sizes of many frames, remembered in one transaction; a few hundred at a time is a good measure."""
        return self._frames.probe(self.images, frames)

    def set_state(self, frame: int, state: FrameState) -> None:
        """Mark a frame as labelled (also when it is empty), reviewed, skipped or unlabelled."""
        self._frames.set_state(frame, state)

    def set_split(self, frames: Sequence[int], split: Split) -> None:
        """Move frames into the hold-out, or back into training."""
        self._frames.set_split(frames, split)

    def annotated_size(self, frame: int) -> tuple[int, int] | None:
        """(width, height) of the image that imported annotations of a frame were made on; None when no file says so."""
        return self._frames.annotated_size(frame)

    def image(self, frame: int) -> NDArray[np.uint8]:
        """The picture, uint8 (H, W, 3) RGB, upright."""
        return read_image(self.images / self.frame(frame).name).pixels

    def labelled_frame(
        self, frame: int, *, short_side: int | None = None, classes: Mapping[int, int] | None = None
    ) -> LabelledFrame:
        """A frame with its targets, optionally resized so that its shortest side is ``short_side`` pixels.

        ``classes`` has the class index of each category's id, and without it all objects are of class 0. Crowds,
        empty masks and objects of a category that is no class are left out.
        """
        if classes is None:
            classes = {category.id: 0 for category in self.categories()}
        record = self.frame(frame)
        return labelled_frame(
            self.images,
            record,
            self.instances(frame),
            classes,
            made_for=self.annotated_size(frame),
            short_side=short_side,
        )

    def unlabelled_frame(self, frame: int, *, short_side: int | None = None) -> UnlabelledFrame:
        """A frame without targets, whatever the project knows about it."""
        return unlabelled_frame(self.images, self.frame(frame), short_side=short_side)

    # Annotations

    def categories(self) -> list[Category]:
        """All categories, oldest first."""
        return self._annotations.categories()

    def add_category(self, name: str) -> Category:
        """The category of that name, made when there is none yet."""
        return self._annotations.add_category(name)

    def rename_category(self, category: int, name: str) -> None:
        """Give a category another name."""
        self._annotations.rename_category(category, name)

    def instances(self, frame: int) -> list[Instance]:
        """The annotations of a frame (drawn, imported, accepted), lowest first."""
        return self._annotations.of_frame(frame)

    def frames_with_objects(self) -> set[int]:
        """The frames that have at least one annotation that is no crowd: nothing can be measured on the others."""
        return self._annotations.frames_with_objects()

    def annotated_categories(self, frames: Collection[int]) -> set[int]:
        """The categories that at least one annotation of the frames has that is no crowd."""
        return self._annotations.annotated_categories(frames)

    def add_instances(self, frame: int, instances: Iterable[Instance]) -> list[int]:
        """Store new annotations and return their ids; an unlabelled frame becomes labelled."""
        return self._annotations.add(frame, instances)

    def update_instance(
        self, instance: int, *, segmentation: Segmentation | None = None, category: int | None = None
    ) -> None:
        """Change an annotation's mask or category."""
        self._annotations.update(instance, segmentation=segmentation, category=category)

    def delete_instances(self, instances: Sequence[int]) -> None:
        """Take annotations out; a labelled frame that loses its last one is unlabelled again."""
        self._annotations.delete(instances)

    def set_bank_excluded(self, instance: int, excluded: bool) -> None:
        """Keep an annotation out of the instance bank, or let it in again."""
        self._annotations.set_bank_excluded(instance, excluded)

    def bank_excluded(self) -> set[int]:
        """Ids of the annotations that stay out of the instance bank."""
        return self._annotations.bank_excluded()

    # Predictions

    def predictions(self, frame: int, *, run: int | None = None) -> list[Instance]:
        """A run's predictions on a frame, best first; by default of the current run, or the latest that saw it."""
        return self._predictions.of_frame(frame, run=run)

    def prediction_scores(self) -> dict[int, list[float]]:
        """Scores by frame, of the same run as ``predictions``; an empty list where it found nothing."""
        return self._predictions.latest_scores()

    def sure_predictions(self, score: float) -> dict[int, list[int]]:
        """Ids by frame, of those frames of which every prediction has at least this score."""
        return self._predictions.sure(score)

    def prediction_disagreement(self) -> dict[int, float]:
        """By frame, how much the predictions differ between two lights, 0 to 1; only where that was measured."""
        return self._predictions.latest_disagreement()

    def latest_prediction_batch(self) -> int:
        """The number of the transaction that stored predictions last; 0 before the first."""
        return self._predictions.latest_batch()

    def predicted_frames(self, run: int, *, after: int = 0) -> set[int]:
        """The frames that a run has predicted, in transactions later than number ``after``."""
        return self._predictions.frames_of(run, after=after)

    def store_predictions(
        self,
        run: int,
        predictions: Mapping[int, Sequence[Instance]],
        *,
        disagreement: Mapping[int, float] | None = None,
    ) -> None:
        """Replace a run's predictions on these frames; this is no edit and cannot be undone."""
        self._predictions.store(run, predictions, disagreement=disagreement)

    def accept_predictions(
        self, predictions: Sequence[int], *, state: FrameState | None = FrameState.REVIEWED
    ) -> list[int]:
        """Turn predictions into annotations, mark their frames with ``state``, and return the annotations' ids."""
        return self._predictions.accept(predictions, state=state)

    def reject_predictions(self, predictions: Sequence[int]) -> None:
        """Throw predictions away."""
        self._predictions.reject(predictions)

    # History

    @contextmanager
    def together(self, action: str, *, frame: int | None = None) -> Iterator[None]:
        """The edits inside become one, described by ``action``: all are carried out or none, and undone at once."""
        with self.journal.edit(action, frame=frame):
            yield

    def undo(self) -> str | None:
        """Take the last edit back, on whatever frame it was, and say what it was; None when there is none."""
        return self.journal.undo()

    def redo(self) -> str | None:
        """Do the last undone edit again and say what it is; None when there is none."""
        return self.journal.redo()

    def history(self, limit: int = 200) -> list[HistoryEntry]:
        """The latest edits, newest first."""
        return self.journal.history(limit)

    # Runs and settings

    def start_run(self, *, preset: str, recipe: str, steps: int, base: str) -> RunRecord:
        """A new run with its folder ``runs/NNNN-preset``; ``base`` names the weights it starts from."""
        return self._runs.start(preset=preset, recipe=recipe, steps=steps, base=base)

    def finish_run(self, number: int, *, steps: int, current: bool = True) -> None:
        """Note that a run has ended after ``steps`` steps, and whether it is now the one that predicts."""
        self._runs.finish(number, steps=steps, current=current)

    def current_run(self) -> RunRecord | None:
        """The run that predicts; None before the first finished one."""
        return self._runs.current()

    def choose_run(self, number: int) -> None:
        """Make a finished run the one that predicts."""
        self._runs.choose(number)

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        return self._runs.all()

    def run(self, number: int | None = None) -> RunRecord:
        """One run, by default the one that predicts."""
        return self._runs.get(number)

    def delete_run(self, number: int) -> None:
        """Take a run, its predictions and its folder away, for good."""
        self._runs.delete(number)

    @reading("settings")
    def setting(self, key: str, default: Any = None) -> Any:
        """A small value kept with the project."""
        rows = self.store.read("SELECT value FROM settings WHERE key = ?", (key,))
        return json.loads(rows[0]["value"]) if rows else default

    def set_setting(self, key: str, value: Any) -> None:
        """Keep a small JSON value with the project; no edit, not undone."""
        with self.store.write() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, json.dumps(value)))

    def _set_images(self, images: Path) -> None:
        # Relative where it can be, so that a project moves together with its images.
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
        # Some network file systems have no locks; better to work without one than not at all.
        return None, None
    return lock, None
