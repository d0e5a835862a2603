"""The workspace: opens projects, selects frames, and applies edits, with a signal for every change."""

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
    """The state behind the window. Every change emits a signal; errors that the user can fix become messages."""

    project_changed = Signal()
    """Another project was opened, or the project was closed."""
    categories_changed = Signal()
    """The list of categories or the category for new instances changed."""
    frames_changed = Signal()
    """The states, the splits or the list of frames changed."""
    frame_changed = Signal()
    """Another frame is the current one, or none is."""
    instances_changed = Signal(object)
    """The annotations of a frame (its id) changed in the store, but not by a stroke on the canvas."""
    strokes_saved = Signal(object)
    """A stroke on the canvas was saved to the store (frame id)."""
    predictions_changed = Signal(object)
    """The stored predictions of a frame (its id, or None for all) changed."""
    instance_selected = Signal(object)
    """Another annotation is selected (its id), or None."""
    new_instance_requested = Signal()
    """The next stroke should start a new instance."""
    paint_requested = Signal()
    """The user wants to edit the selected annotation with the brush."""
    save_requested = Signal()
    """Unsaved strokes must be saved now, because the current frame is about to be read or left."""
    message = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(self, trainer_factory: TrainerFactory = spawn_training) -> None:
        self.project: Project | None = None
        self._list = FrameList()
        self.frame: FrameRecord | None = None
        self.category: int | None = None
        """The id of the category for new instances."""
        self.selected: int | None = None
        """The id of the selected annotation."""
        self.training = TrainingSession(trainer_factory)
        self.engine = EngineProcess()
        self.ended = False
        """True after the window was closed."""

    # -- messages ---------------------------------------------------------------------------------------------------

    def notify(self, sentence: str, level: Level = "info") -> None:
        """Shows a sentence to the user."""
        self.message.emit(level, sentence)

    @contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Shows errors that the user can fix as messages instead of raising them."""
        try:
            yield
        except (RiseError, OSError, ValueError) as error:
            self.notify(str(error) or type(error).__name__, "error")

    # -- projects ---------------------------------------------------------------------------------------------------

    def open_path(self, path: Path) -> bool:
        """Opens a project, or the project next to a folder of images; True when it is open."""
        if path.suffix == PROJECT_SUFFIX or (path.parent.suffix == PROJECT_SUFFIX and path.is_file()):
            return self.open_project(path if path.is_dir() else path.parent)
        return self.open_folder(path)

    def open_folder(self, images: Path) -> bool:
        """Opens the project next to a folder of images and creates it if needed; True when it is open."""
        if not images.is_dir():
            self.notify(f"{images} is not a folder. Choose the folder that contains the images.", "error")
            return False
        path = Project.default_path(images)
        if path.exists():
            return self.open_project(path)
        with self.reporting_errors():
            Project.create(path, images).close()
            return self.open_project(path)
        return False

    def open_project(self, path: Path) -> bool:
        """Opens a ``.rise`` project and adds the new images of its folder; True when it is open."""
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
                self.notify(f"The image files of {report.missing} frames of {path.name} are missing.", "warning")
            if report is not None and report.passed_over.not_utf8:
                self.notify(f"Left out: {report.passed_over.not_utf8_in_words()}.", "warning")
            if not self.frames:
                self.notify(
                    f"There is no image in {project.images}. Choose the folder that contains the images.", "warning"
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
        """Saves unsaved strokes, stops the training and closes the project."""
        if self.project is None:
            return
        self.save_requested.emit()
        self._release()
        self.project_changed.emit()
        self.frames_changed.emit()
        self.frame_changed.emit()

    def end(self) -> None:
        """Stops the training and closes the project without signals, after the window was closed."""
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
        """The category for a new instance, created if there is none. Raises RiseError when it cannot be stored."""
        assert self.project is not None
        if self.category is None:
            self.category = self.project.annotations.add_category(FIRST_CATEGORY).id
            self.categories_changed.emit()
        return self.category

    def add_category(self, name: str) -> None:
        """Adds a category and uses it for new instances."""
        if self.project is None or not name.strip():
            return
        with self.reporting_errors():
            self.category = self.project.annotations.add_category(name).id
            self.categories_changed.emit()

    def reload(self) -> None:
        """Reads everything again, after an import or another change of many frames."""
        self._edited(None)

    # -- frames -----------------------------------------------------------------------------------------------------

    @property
    def frames(self) -> list[FrameRecord]:
        """All frames in the natural order of their names."""
        return self._list.all

    def _read_frames(self) -> None:
        self._list = FrameList(self.project.frames.all() if self.project is not None else ())
        self.frame = self._list.get(self.frame.id) if self.frame is not None else None

    def refresh_frames(self) -> None:
        """Reads the frames again, after they changed in the store."""
        self._read_frames()
        self.frames_changed.emit()

    def _reread(self, frame_id: int) -> bool:
        """Reads one frame again; False when it is unchanged."""
        if self.project is None or self._list.index(frame_id) is None:
            return False
        changed = self._list.update(self.project.frames.get(frame_id))
        self.frame = self._list.get(self.frame.id) if self.frame is not None else None
        return changed

    def index_of(self, frame_id: int) -> int | None:
        """The index of a frame in ``frames``."""
        return self._list.index(frame_id)

    def count(self, *states: FrameState) -> int:
        """The number of frames in one of these states."""
        return self._list.count(*states)

    @property
    def holdout_count(self) -> int:
        """The number of hold-out frames."""
        return self._list.holdout

    def show(self, frame_id: int | None) -> None:
        """Makes a frame the current one."""
        if self.frame is not None and frame_id == self.frame.id:
            return
        self.save_requested.emit()
        self.frame = self._list.get(frame_id)
        self.selected = None
        self.frame_changed.emit()
        if self.frame is not None:
            self.training.watch(self.frame.name)

    def step(self, offset: int) -> None:
        """Goes ``offset`` frames forward, or back if negative, within the list."""
        if self.frame is not None:
            index = (self.index_of(self.frame.id) or 0) + offset
            self.show(self.frames[max(0, min(index, len(self.frames) - 1))].id)

    def next_unlabelled(self) -> None:
        """Goes to the next unlabelled frame; after the last frame it continues with the first."""
        found = self._list.next_unlabelled(self._list.index(self.frame.id) if self.frame is not None else None)
        if found is None:
            self.notify("Every frame is labelled, reviewed or skipped.")
        else:
            self.show(found.id)

    def mark(self, state: FrameState) -> bool:
        """Sets the state of the current frame; False when that failed."""
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
            self.notify("This project is open in another window. Close it there to edit it here.", "warning")
        return self.writable

    # -- instances --------------------------------------------------------------------------------------------------

    def instances(self) -> list[Instance]:
        """The annotations of the current frame."""
        if self.project is None or self.frame is None:
            return []
        return self.project.annotations.of_frame(self.frame.id)

    def instances_with_strokes(self) -> list[Instance]:
        """The annotations of the current frame, after unsaved strokes were saved."""
        self.save_requested.emit()
        return self.instances()

    def predictions(self) -> list[Instance]:
        """The stored predictions of the current frame, best first."""
        if self.project is None or self.frame is None:
            return []
        return self.project.predictions.of_frame(self.frame.id)

    def select(self, instance_id: int | None) -> None:
        """Selects an annotation, or none."""
        if instance_id != self.selected:
            self.selected = instance_id
            self.instance_selected.emit(instance_id)

    def stroke_saved(self, frame_id: int) -> None:
        """Updates the frame after a stroke was saved, which may have changed its state."""
        if self._reread(frame_id):
            self.frames_changed.emit()
        self.strokes_saved.emit(frame_id)

    def edit(self, action: str, change: Callable[[Project, FrameRecord], Result]) -> Result | None:
        """Changes the current frame as one undoable edit, described by ``action``; None when that failed."""
        if self.frame is None or not self._may_write():
            return None
        self.save_requested.emit()
        project, frame = self.project, self.frame
        with self.reporting_errors():
            with project.journal.edit(action, frame=frame.id):
                result = change(project, frame)
            self._edited(frame.id)
            return result
        return None

    def delete(self, instance_ids: Sequence[int]) -> None:
        """Deletes annotations of the current frame."""
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
        """Converts predictions of the current frame to annotations; ``reviewed`` also marks the frame as reviewed."""
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
        """Deletes predictions of the current frame; ``reviewed`` also marks the frame as reviewed."""
        ids = list(prediction_ids)

        def change(project: Project, frame: FrameRecord) -> bool:
            project.predictions.reject(ids)
            if reviewed:
                project.frames.set_state(frame.id, FrameState.REVIEWED)
            return True

        if ids:
            self.edit(f"rejected {number_of(len(ids), 'prediction')}", change)

    def undo(self) -> None:
        """Undoes the last edit, on any frame."""
        self._undo_or_redo("undo")

    def redo(self) -> None:
        """Redoes the edit that was undone last, on any frame."""
        self._undo_or_redo("redo")

    def _undo_or_redo(self, direction: Literal["undo", "redo"]) -> None:
        if self.project is None or not self._may_write():
            return
        self.save_requested.emit()
        with self.reporting_errors():
            edit = self.project.journal.undo() if direction == "undo" else self.project.journal.redo()
            if edit is None:
                self.notify(f"Nothing to {direction}.")
                return
            self.notify(f"{direction.capitalize()}: {edit}")
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
