"""What the tabs share: the open project, the frame in view, the running training. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

from psygnal import Signal

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import Category, FrameRecord, FrameState, Instance
from rise_engine.project.wording import number_of
from rise_napari.engine.process import EngineProcess
from rise_napari.training.session import TrainerFactory, TrainingSession, spawn_training
from rise_napari.workspace.frame_list import FrameList

Level = Literal["info", "warning", "error"]
Result = TypeVar("Result")

FIRST_CATEGORY = "object"
LAST_FRAME = "window.last_frame"
PROJECT_SUFFIX = ".rise"


class Workspace:
    """The state behind the window. Every change of it is told by a signal; widgets and layers only follow.

    Errors that the person can mend never leave a method: they are told by ``message``.
    """

    project_changed = Signal()
    """Another project is open, or none."""
    categories_changed = Signal()
    """The list of categories, or the one for new instances, changed."""
    frames_changed = Signal()
    """States, splits or the list of frames changed."""
    frame_changed = Signal()
    """Another frame is in view, or none."""
    instances_changed = Signal(object)
    """The annotations of a frame (its id) changed in the store, other than by a stroke on the canvas."""
    strokes_saved = Signal(object)
    """A stroke on the canvas reached the store (frame id)."""
    predictions_changed = Signal(object)
    """The stored predictions of a frame (its id, or None for all) changed."""
    instance_selected = Signal(object)
    """The id of the annotation in hand, or None."""
    new_instance_requested = Signal()
    """The next stroke starts a new instance."""
    paint_requested = Signal()
    """The annotation in hand is to be painted over."""
    save_requested = Signal()
    """The frame in view is about to be read or left: unsaved strokes must be saved now."""
    message = Signal(str, str)
    """A level and a sentence for the person."""

    def __init__(self, trainer_factory: TrainerFactory = spawn_training) -> None:
        self.project: Project | None = None
        self._list = FrameList()
        self.frame: FrameRecord | None = None
        self.category: int | None = None
        """Id of the category that new instances get."""
        self.selected: int | None = None
        """Id of the annotation in hand."""
        self.training = TrainingSession(trainer_factory)
        self.engine = EngineProcess()
        self.ended = False
        """True once the window is gone."""

    # -- messages ---------------------------------------------------------------------------------------------------

    def notify(self, sentence: str, level: Level = "info") -> None:
        """Shows a sentence to the person."""
        self.message.emit(level, sentence)

    @contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Tells errors that the person can mend instead of raising them."""
        try:
            yield
        except (RiseError, OSError, ValueError) as error:
            self.notify(str(error) or type(error).__name__, "error")

    # -- projects ---------------------------------------------------------------------------------------------------

    def open_path(self, path: Path) -> bool:
        """Opens a project, or a folder of images by way of the project beside it; True when one is open."""
        if path.suffix == PROJECT_SUFFIX or (path.parent.suffix == PROJECT_SUFFIX and path.is_file()):
            return self.open_project(path if path.is_dir() else path.parent)
        return self.open_folder(path)

    def open_folder(self, images: Path) -> bool:
        """Opens the project beside a folder of images, and creates it where there is none."""
        if not images.is_dir():
            self.notify(f"{images} is not a folder: choose the folder that holds the images.", "error")
            return False
        path = Project.default_path(images)
        if path.exists():
            return self.open_project(path)
        with self.reporting_errors():
            Project.create(path, images).close()
            return self.open_project(path)
        return False

    def open_project(self, path: Path) -> bool:
        """Opens a ``.rise`` project and looks for new images in its folder."""
        with self.reporting_errors():
            project = Project.open(path, exclusive=True)
            try:
                report = None if project.read_only else project.scan()
                self.close_project()
                self._adopt(project)
            except BaseException:
                project.close()
                raise
            if project.read_only:
                self.notify(f"{path.name} is open in another window, so it is read-only here.", "warning")
            elif report is not None and report.missing:
                self.notify(f"{report.missing} frames of {path.name} have no image file any more.", "warning")
            if not self.frames:
                self.notify(
                    f"There is no image in {project.images}: choose the folder that holds the images.", "warning"
                )
            return True
        return False

    def _adopt(self, project: Project) -> None:
        self.project = project
        self.category = None
        self._choose_category()
        self._read_frames()
        self.project_changed.emit()
        self.categories_changed.emit()
        last = project.setting(LAST_FRAME)
        known = self._list.named(str(last))
        self.show(known.id if known is not None else (self.frames[0].id if self.frames else None))

    def close_project(self) -> None:
        """Saves what is unsaved, ends the training and lets the project go."""
        if self.project is None:
            return
        self.save_requested.emit()
        self._release()
        self.project_changed.emit()
        self.frames_changed.emit()
        self.frame_changed.emit()

    def end(self) -> None:
        """The window is gone: ends the training and lets the project go, without a word to anyone."""
        self.ended = True
        self.engine.close()
        self._release()

    def _release(self) -> None:
        project, self.project = self.project, None
        self.training.close()
        if project is not None:
            if self.frame is not None and not project.read_only:
                with suppress(RiseError):
                    project.set_setting(LAST_FRAME, self.frame.name)
            project.close()
        self._list, self.frame, self.selected = FrameList(), None, None

    @property
    def writable(self) -> bool:
        """Whether this window may change the open project."""
        return self.project is not None and not self.project.read_only

    @property
    def categories(self) -> list[Category]:
        """The categories of the open project."""
        return self.project.annotations.categories() if self.project is not None else []

    def _choose_category(self) -> None:
        known = [category.id for category in self.categories]
        if self.category not in known:
            self.category = known[0] if known else None

    def category_for_new(self) -> int:
        """The category that a new instance gets; the first one is made when there is none. Raises RiseError."""
        assert self.project is not None
        if self.category is None:
            self.category = self.project.annotations.add_category(FIRST_CATEGORY).id
            self.categories_changed.emit()
        return self.category

    def add_category(self, name: str) -> None:
        """Adds a category and makes it the one for new instances."""
        if self.project is None or not name.strip():
            return
        with self.reporting_errors():
            self.category = self.project.annotations.add_category(name).id
            self.categories_changed.emit()

    def reload(self) -> None:
        """Annotations came in from a file: everything is read again."""
        self._edited(None)

    # -- frames -----------------------------------------------------------------------------------------------------

    @property
    def frames(self) -> list[FrameRecord]:
        """All frames, in natural order of their names."""
        return self._list.all

    def _read_frames(self) -> None:
        self._list = FrameList(self.project.frames.all() if self.project is not None else ())
        self.frame = self._list.get(self.frame.id) if self.frame is not None else None

    def refresh_frames(self) -> None:
        """Reads the frames again, after something else changed them."""
        self._read_frames()
        self.frames_changed.emit()

    def _reread(self, frame_id: int) -> bool:
        """Reads one frame again; False when it is as it was."""
        if self.project is None or self._list.place(frame_id) is None:
            return False
        changed = self._list.update(self.project.frames.get(frame_id))
        self.frame = self._list.get(self.frame.id) if self.frame is not None else None
        return changed

    def index_of(self, frame_id: int) -> int | None:
        """The place of a frame in ``frames``."""
        return self._list.place(frame_id)

    def count(self, *states: FrameState) -> int:
        """How many frames are in one of these states."""
        return self._list.count(*states)

    @property
    def holdout_count(self) -> int:
        """How many frames are in the hold-out."""
        return self._list.holdout

    def show(self, frame_id: int | None) -> None:
        """Brings a frame into view."""
        if self.frame is not None and frame_id == self.frame.id:
            return
        self.save_requested.emit()
        self.frame = self._list.get(frame_id)
        self.selected = None
        self.frame_changed.emit()
        if self.frame is not None:
            self.training.watch(self.frame.name)

    def step(self, offset: int) -> None:
        """Goes ``offset`` frames on (or back), staying inside the list."""
        if self.frame is not None:
            index = (self.index_of(self.frame.id) or 0) + offset
            self.show(self.frames[max(0, min(index, len(self.frames) - 1))].id)

    def next_unlabelled(self) -> None:
        """Goes to the next unlabelled frame after the one in view, round the end of the list."""
        found = self._list.next_unlabelled(self._list.place(self.frame.id) if self.frame is not None else None)
        if found is None:
            self.notify("Every frame is labelled, reviewed or skipped.")
        else:
            self.show(found.id)

    def mark(self, state: FrameState) -> bool:
        """Sets the state of the frame in view; False when that could not be done."""
        if self.frame is None or not self._may_write():
            return False
        self.save_requested.emit()
        with self.reporting_errors():
            self._reread(self.frame.id)
            if self.frame.state is not state:
                self.project.frames.set_state(self.frame.id, state)
                self._reread(self.frame.id)
                self.frames_changed.emit()
            return True
        return False

    def _may_write(self) -> bool:
        if self.project is not None and self.project.read_only:
            self.notify("This project is open in another window: close that one to edit here.", "warning")
        return self.writable

    # -- instances --------------------------------------------------------------------------------------------------

    def instances(self) -> list[Instance]:
        """The annotations of the frame in view."""
        if self.project is None or self.frame is None:
            return []
        return self.project.annotations.of_frame(self.frame.id)

    def instances_with_strokes(self) -> list[Instance]:
        """The annotations of the frame in view, after saving what was just drawn."""
        self.save_requested.emit()
        return self.instances()

    def predictions(self) -> list[Instance]:
        """The stored predictions of the frame in view, best first."""
        if self.project is None or self.frame is None:
            return []
        return self.project.predictions.of_frame(self.frame.id)

    def select(self, instance_id: int | None) -> None:
        """Takes an annotation in hand."""
        if instance_id != self.selected:
            self.selected = instance_id
            self.instance_selected.emit(instance_id)

    def stroke_saved(self, frame_id: int) -> None:
        """The canvas wrote a stroke to the store: states may have changed with it."""
        if self._reread(frame_id):
            self.frames_changed.emit()
        self.strokes_saved.emit(frame_id)

    def edit(self, words: str, change: Callable[[Project, FrameRecord], Result]) -> Result | None:
        """Changes the frame in view as one undoable edit described by ``words``; None when that could not be done."""
        if self.frame is None or not self._may_write():
            return None
        self.save_requested.emit()
        project, frame = self.project, self.frame
        with self.reporting_errors():
            with project.journal.edit(words, frame=frame.id):
                result = change(project, frame)
            self._edited(frame.id)
            return result
        return None

    def delete(self, instance_ids: Sequence[int]) -> None:
        """Deletes annotations of the frame in view."""
        ids = list(instance_ids)
        if not ids or self.frame is None or not self._may_write():
            return
        self.save_requested.emit()
        with self.reporting_errors():
            self.project.annotations.delete(ids)
            if self.selected in ids:
                self.select(None)
            self._edited(self.frame.id)

    def accept(self, prediction_ids: Sequence[int], *, reviewed: bool = True) -> bool:
        """Turns predictions of the frame in view into annotations; ``reviewed`` also marks the frame."""
        if self.frame is None or not self._may_write():
            return False
        self.save_requested.emit()
        ids, frame = list(prediction_ids), self.frame.id
        with self.reporting_errors():
            state = FrameState.REVIEWED if reviewed else None
            if ids:
                self.project.predictions.accept(ids, state=state)
            elif reviewed and self.frame.state is not FrameState.REVIEWED:
                self.project.frames.set_state(frame, FrameState.REVIEWED)
            self._edited(frame)
            return True
        return False

    def reject(self, prediction_ids: Sequence[int], *, reviewed: bool = False) -> None:
        """Drops predictions of the frame in view; ``reviewed`` also marks the frame."""
        ids = list(prediction_ids)

        def change(project: Project, frame: FrameRecord) -> bool:
            project.predictions.reject(ids)
            if reviewed:
                project.frames.set_state(frame.id, FrameState.REVIEWED)
            return True

        if ids:
            self.edit(f"rejected {number_of(len(ids), 'prediction')}", change)

    def undo(self) -> None:
        """Takes back the last action, whichever frame it was on."""
        self._travel("undo")

    def redo(self) -> None:
        """Does again what was taken back last."""
        self._travel("redo")

    def _travel(self, way: Literal["undo", "redo"]) -> None:
        if self.project is None or not self._may_write():
            return
        self.save_requested.emit()
        with self.reporting_errors():
            edit = self.project.journal.undo() if way == "undo" else self.project.journal.redo()
            if edit is None:
                self.notify(f"Nothing to {way}.")
                return
            self.notify(f"{way.capitalize()}: {edit}")
            touched = self._list.get(edit.frame)
            self._edited(touched.id if touched is not None else None)
            if touched is not None:
                self.show(touched.id)

    def _edited(self, frame_id: int | None) -> None:
        self._choose_category()
        self.categories_changed.emit()
        if frame_id is None:
            self._read_frames()
        else:
            self._reread(frame_id)
        self.frames_changed.emit()
        self.instances_changed.emit(frame_id)
        self.predictions_changed.emit(frame_id)
