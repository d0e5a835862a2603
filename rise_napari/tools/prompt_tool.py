"""A click or a box proposes a mask, shown as an outline: Enter takes it, Esc drops it, S shows another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from psygnal import Signal

from rise_engine.annotation.prompt import Suggestion, suggest_at, suggest_in_box
from rise_engine.project.records import Instance, PredictedInstance
from rise_engine.project.segmentation import box_of
from rise_napari.engine.background import run_in_background, stream_in_background
from rise_napari.layers.tool_overlay import ToolOverlay
from rise_napari.manifest.preferences import asks_the_model
from rise_napari.tools.drag_tool import DragTool, Point
from rise_napari.tools.instance_editor import InstanceEditor, taken_by
from rise_napari.workspace import Workspace

CANDIDATE_SCORE = 0.02
"""The engine is asked for predictions far below what is shown: a person points at the object, so a weak one will do."""
CLICK_PIXELS = 3
"""A drag that stays this near to where it began is a click."""
BOX_LINE_SHARE = 1 / 300


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What the model sees in a frame: the stored predictions first, then weaker ones that the engine told."""

    stored: list[Instance]
    all: list[PredictedInstance]

    def prediction(self, candidate: int | None) -> int | None:
        """The id of the stored prediction behind a candidate."""
        return self.stored[candidate].id if candidate is not None and candidate < len(self.stored) else None


class PromptTool:
    """The prompt tool: in hand or not, and the suggestion in view."""

    changed = Signal()
    """Taken in hand, put away, or there is another suggestion or none."""

    def __init__(
        self,
        workspace: Workspace,
        editor: InstanceEditor,
        overlay: ToolOverlay,
        picture: Callable[[], NDArray[np.uint8] | None],
    ) -> None:
        self._workspace, self._editor, self._overlay, self._picture = workspace, editor, overlay, picture
        self._used = _Candidates([], [])
        self._engine_told: list[PredictedInstance] = []
        self._looking: int | None = None
        """The frame that the engine was asked about and has not answered for."""
        self._suggestions: list[Suggestion] = []
        self._place = 0
        self._asked = 0
        self.engine_candidates = asks_the_model()
        """Whether the engine is asked for candidates."""
        self.tool = DragTool(
            moved=self._moved,
            finished=self._finished,
            keys={"Enter": self.accept, "Escape": self.drop_or_stop},
        )
        self.tool.changed.connect(self._tool_changed)
        workspace.frame_changed.connect(self._frame_changed)

    def attach(self, layer: Labels) -> None:
        """There is a new annotation layer."""
        self.tool.attach(layer)

    @property
    def active(self) -> bool:
        """Whether the tool is in hand."""
        return self.tool.active

    @property
    def suggestion(self) -> Suggestion | None:
        """The one in view."""
        return self._suggestions[self._place] if self._suggestions else None

    def state(self) -> str:
        """In one sentence, what to do now."""
        suggestion = self.suggestion
        if suggestion is not None:
            number = f"{self._place + 1} of {len(self._suggestions)}, " if len(self._suggestions) > 1 else ""
            another = ", S shows another" if len(self._suggestions) > 1 else ""
            return f"Suggestion {number}{suggestion.words}: Enter takes it, Esc drops it{another}."
        if not self.active:
            return ""
        looking = " The model is still looking: until then colours and edges must do." if self._looking else ""
        return f"Click on an object, or drag a box around it.{looking}"

    def start_or_next(self) -> None:
        """Takes the tool in hand; with a suggestion in view, shows the next one."""
        if self._suggestions:
            self._place = (self._place + 1) % len(self._suggestions)
            self._show()
        elif self._workspace.writable and self.tool.activate():
            self._workspace.select(None)
            self._look_ahead()

    def stop(self) -> None:
        """Puts the tool away."""
        self._drop()
        self.tool.deactivate()

    def accept(self) -> None:
        """Makes an instance of the suggestion in view."""
        suggestion = self.suggestion
        if suggestion is not None:
            self._drop()
            self._editor.take(suggestion, self._used.prediction(suggestion.candidate))

    def drop_or_stop(self) -> None:
        """Drops the suggestion in view; without one, puts the tool away."""
        if self._suggestions:
            self._drop()
        else:
            self.tool.deactivate()

    # -- the prompt -------------------------------------------------------------------------------------------------

    def _moved(self, way: Sequence[Point]) -> None:
        picture = self._picture()
        if picture is not None and not _is_click(way):
            x0, y0, x1, y1 = (round(side) for side in _box(way, picture.shape[:2]))
            width = max(1, round(min(picture.shape[:2]) * BOX_LINE_SHARE))
            frame = np.zeros(picture.shape[:2], np.bool_)
            frame[y0:y1, x0:x1] = True
            frame[y0 + width : max(y0, y1 - width), x0 + width : max(x0, x1 - width)] = False
            self._overlay.show_pixels(frame)

    def _finished(self, way: Sequence[Point]) -> None:
        workspace, picture = self._workspace, self._picture()
        frame = workspace.frame
        if picture is None or frame is None:
            return
        size = picture.shape[:2]
        row, column = way[0]
        if not (0 <= row < size[0] and 0 <= column < size[1]) and _is_click(way):
            return
        self._drop()
        candidates = self._candidates()
        instances = workspace.instances_with_strokes()
        self._asked += 1
        asked, frame_id = self._asked, frame.id

        def work() -> list[Suggestion]:
            taken = taken_by(instances, size)
            if _is_click(way):
                boxes = [box_of(one.segmentation, *size) for one in instances]
                sides = [max(box[2] - box[0], box[3] - box[1]) for box in boxes]
                usual = float(np.median(sides)) if sides else None
                return suggest_at(picture, way[0], candidates.all, taken=taken, side=usual)
            return suggest_in_box(picture, _box(way, size), candidates.all, taken=taken)

        def done(found: list[Suggestion]) -> None:
            now = workspace.frame
            if asked != self._asked or now is None or now.id != frame_id or not self.active:
                return
            self._suggestions, self._place, self._used = found, 0, candidates
            if not found:
                workspace.notify("Nothing stands out there: drag a box close around the object, or paint it (N).")
            self._show()

        run_in_background(workspace, work, done=done)

    def _show(self) -> None:
        if self.suggestion is None:
            self._overlay.clear()
        else:
            self._overlay.outline(self.suggestion.mask)
        self.changed.emit()

    def _drop(self) -> None:
        self._asked += 1
        self._suggestions, self._place = [], 0
        self._show()

    def _frame_changed(self) -> None:
        self._engine_told, self._looking = [], None
        self._drop()
        if self.active:
            self._look_ahead()

    def _tool_changed(self) -> None:
        if not self.active:
            self._drop()
        self.changed.emit()

    # -- candidates -------------------------------------------------------------------------------------------------

    def _candidates(self) -> _Candidates:
        """What the model sees in the frame in view, as far as that is known by now."""
        workspace, picture = self._workspace, self._picture()
        assert picture is not None and workspace.frame is not None
        stored = [one for one in workspace.predictions() if isinstance(one.segmentation, dict)]
        live = workspace.training.preview
        seen = live.predictions if live is not None and live.frame == workspace.frame.name else []
        known = [_as_predicted(one, picture.shape[:2]) for one in stored]
        return _Candidates(stored, [*known, *seen, *self._engine_told])

    def _look_ahead(self) -> None:
        """Asks the engine what it sees, weak predictions too; clicks meanwhile go without."""
        project, frame = self._workspace.project, self._workspace.frame
        if project is None or frame is None or not self.engine_candidates:
            return
        path = str(project.path)

        def keep(answer: dict[str, Any]) -> None:
            now = self._workspace.frame
            if "result" in answer and now is not None and now.id == frame.id:
                self._engine_told = [
                    PredictedInstance(one["rle"], tuple(one["box"]), 0, one["score"])
                    for one in answer["result"]["candidates"]
                ]

        def looked() -> None:
            if self._looking == frame.id:
                self._looking = None
                self.changed.emit()

        self._looking = frame.id
        self.changed.emit()
        stream_in_background(
            self._workspace,
            lambda: self._workspace.engine.run("candidates", project=path, frame=frame.id, min_score=CANDIDATE_SCORE),
            each=keep,
            finished=looked,
        )


def _as_predicted(one: Instance, size: tuple[int, ...]) -> PredictedInstance:
    assert isinstance(one.segmentation, dict)
    return PredictedInstance(one.segmentation, box_of(one.segmentation, size[0], size[1]), 0, one.score or 0.0)


def _is_click(way: Sequence[Point]) -> bool:
    rows, columns = zip(*way, strict=True)
    return max(max(rows) - min(rows), max(columns) - min(columns)) < CLICK_PIXELS


def _box(way: Sequence[Point], size: tuple[int, ...]) -> tuple[float, float, float, float]:
    """The box, half-open xyxy inside the frame, between the first and the last point."""
    (row, column), (last_row, last_column) = way[0], way[-1]
    x0, x1 = sorted((min(max(column, 0.0), size[1]), min(max(last_column, 0.0), size[1])))
    y0, y1 = sorted((min(max(row, 0.0), size[0]), min(max(last_row, 0.0), size[0])))
    return x0, y0, x1, y1
