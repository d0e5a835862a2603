"""The Suggest tool: a click or a box proposes a mask. Enter accepts it, Esc discards it, S shows another one."""

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
from rise_napari.tools.instance_editor import InstanceEditor, union_of_masks
from rise_napari.workspace import Workspace

CANDIDATE_SCORE = 0.02
"""Suggestions also use predictions with low scores, because the user points at the object."""
CLICK_PIXELS = 3
"""A drag that stays within this distance is a click."""
BOX_LINE_SHARE = 1 / 300


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The predictions of a frame: first the stored ones, then live ones and those of the engine process."""

    stored: list[Instance]
    all: list[PredictedInstance]

    def prediction(self, candidate: int | None) -> int | None:
        """The id of the stored prediction that a candidate is; None for other candidates."""
        return self.stored[candidate].id if candidate is not None and candidate < len(self.stored) else None


class PromptTool:
    """The tool and its current suggestions."""

    changed = Signal()
    """The tool was activated or deactivated, or another suggestion is shown, or none."""

    def __init__(
        self,
        workspace: Workspace,
        editor: InstanceEditor,
        overlay: ToolOverlay,
        image: Callable[[], NDArray[np.uint8] | None],
    ) -> None:
        """``image`` returns the current frame, uint8 (H, W, 3), or None."""
        self._workspace, self._editor, self._overlay, self._image = workspace, editor, overlay, image
        self._used = _Candidates([], [])
        self._from_engine: list[PredictedInstance] = []
        self._awaited_frame: int | None = None
        """The id of the frame that the engine process is predicting."""
        self._suggestions: list[Suggestion] = []
        self._shown_index = 0
        self._request = 0
        self.engine_candidates = asks_the_model()
        """Whether the engine process predicts candidates."""
        self.tool = DragTool(
            moved=self._moved,
            finished=self._finished,
            keys={"Enter": self.accept, "Escape": self.discard_or_stop},
        )
        self.tool.changed.connect(self._tool_changed)
        workspace.frame_changed.connect(self._frame_changed)

    def attach(self, layer: Labels) -> None:
        """Uses a new annotation layer from now on."""
        self.tool.attach(layer)

    @property
    def active(self) -> bool:
        """Whether the tool is active."""
        return self.tool.active

    @property
    def suggestion(self) -> Suggestion | None:
        """The shown suggestion."""
        return self._suggestions[self._shown_index] if self._suggestions else None

    def state(self) -> str:
        """What to do now, in a sentence; empty while the tool is inactive."""
        suggestion = self.suggestion
        if suggestion is not None:
            number = f"{self._shown_index + 1} of {len(self._suggestions)}, " if len(self._suggestions) > 1 else ""
            another = ", S shows another" if len(self._suggestions) > 1 else ""
            return f"Suggestion {number}{suggestion.words}: Enter accepts it, Esc discards it{another}."
        if not self.active:
            return ""
        waiting = (
            " The model is still computing; until then, colours and edges are used." if self._awaited_frame else ""
        )
        return f"Click on an object, or drag a box around it.{waiting}"

    def start_or_next(self) -> None:
        """Activates the tool; shows the next suggestion when there is one."""
        if self._suggestions:
            self._shown_index = (self._shown_index + 1) % len(self._suggestions)
            self._show()
        elif self._workspace.writable and self.tool.activate():
            self._workspace.select(None)
            self._request_candidates()

    def stop(self) -> None:
        """Deactivates the tool."""
        self._discard()
        self.tool.deactivate()

    def accept(self) -> None:
        """Adds the shown suggestion as an instance."""
        suggestion = self.suggestion
        if suggestion is not None:
            self._discard()
            self._editor.accept_suggestion(suggestion, self._used.prediction(suggestion.candidate))

    def discard_or_stop(self) -> None:
        """Discards the suggestions; without one, deactivates the tool."""
        if self._suggestions:
            self._discard()
        else:
            self.tool.deactivate()

    # -- the prompt -------------------------------------------------------------------------------------------------

    def _moved(self, path: Sequence[Point]) -> None:
        image = self._image()
        if image is not None and not _is_click(path):
            x0, y0, x1, y1 = (round(side) for side in _box(path, image.shape[:2]))
            width = max(1, round(min(image.shape[:2]) * BOX_LINE_SHARE))
            frame = np.zeros(image.shape[:2], np.bool_)
            frame[y0:y1, x0:x1] = True
            frame[y0 + width : max(y0, y1 - width), x0 + width : max(x0, x1 - width)] = False
            self._overlay.show_pixels(frame)

    def _finished(self, path: Sequence[Point]) -> None:
        workspace, image = self._workspace, self._image()
        frame = workspace.frame
        if image is None or frame is None:
            return
        size = image.shape[:2]
        row, column = path[0]
        if not (0 <= row < size[0] and 0 <= column < size[1]) and _is_click(path):
            return
        self._discard()
        candidates = self._candidates()
        instances = workspace.instances_with_strokes()
        self._request += 1
        request, frame_id = self._request, frame.id

        def work() -> list[Suggestion]:
            taken = union_of_masks(instances, size)
            if _is_click(path):
                boxes = [box_of(one.segmentation, *size) for one in instances]
                sides = [max(box[2] - box[0], box[3] - box[1]) for box in boxes]
                median_side = float(np.median(sides)) if sides else None
                return suggest_at(image, path[0], candidates.all, taken=taken, side=median_side)
            return suggest_in_box(image, _box(path, size), candidates.all, taken=taken)

        def done(found: list[Suggestion]) -> None:
            now = workspace.frame
            if request != self._request or now is None or now.id != frame_id or not self.active:
                return
            self._suggestions, self._shown_index, self._used = found, 0, candidates
            if not found:
                workspace.notify("No object was found there. Drag a box close around the object, or paint it (N).")
            self._show()

        run_in_background(workspace, work, done=done)

    def _show(self) -> None:
        if self.suggestion is None:
            self._overlay.clear()
        else:
            self._overlay.outline(self.suggestion.mask)
        self.changed.emit()

    def _discard(self) -> None:
        self._request += 1
        self._suggestions, self._shown_index = [], 0
        self._show()

    def _frame_changed(self) -> None:
        self._from_engine, self._awaited_frame = [], None
        self._discard()
        if self.active:
            self._request_candidates()

    def _tool_changed(self) -> None:
        if not self.active:
            self._discard()
        self.changed.emit()

    # -- candidates -------------------------------------------------------------------------------------------------

    def _candidates(self) -> _Candidates:
        """The predictions of the current frame that are available now."""
        workspace, image = self._workspace, self._image()
        assert image is not None and workspace.frame is not None
        stored = [one for one in workspace.predictions() if isinstance(one.segmentation, dict)]
        live = workspace.training.preview
        from_training = live.predictions if live is not None and live.frame == workspace.frame.name else []
        known = [_as_predicted(one, image.shape[:2]) for one in stored]
        return _Candidates(stored, [*known, *from_training, *self._from_engine])

    def _request_candidates(self) -> None:
        """Has the engine process predict the current frame, with low scores too. Clicks do not wait for it."""
        project, frame = self._workspace.project, self._workspace.frame
        if project is None or frame is None or not self.engine_candidates:
            return
        folder = str(project.path)

        def keep(answer: dict[str, Any]) -> None:
            now = self._workspace.frame
            if "result" in answer and now is not None and now.id == frame.id:
                self._from_engine = [
                    PredictedInstance(one["rle"], tuple(one["box"]), 0, one["score"])
                    for one in answer["result"]["candidates"]
                ]

        def done() -> None:
            if self._awaited_frame == frame.id:
                self._awaited_frame = None
                self.changed.emit()

        self._awaited_frame = frame.id
        self.changed.emit()
        stream_in_background(
            self._workspace,
            lambda: self._workspace.engine.run("candidates", project=folder, frame=frame.id, min_score=CANDIDATE_SCORE),
            each=keep,
            finished=done,
        )


def _as_predicted(one: Instance, size: tuple[int, ...]) -> PredictedInstance:
    assert isinstance(one.segmentation, dict)
    return PredictedInstance(one.segmentation, box_of(one.segmentation, size[0], size[1]), 0, one.score or 0.0)


def _is_click(path: Sequence[Point]) -> bool:
    rows, columns = zip(*path, strict=True)
    return max(max(rows) - min(rows), max(columns) - min(columns)) < CLICK_PIXELS


def _box(path: Sequence[Point], size: tuple[int, ...]) -> tuple[float, float, float, float]:
    """The box between the first and the last point: half-open xyxy in pixels, inside the frame (H, W)."""
    (row, column), (last_row, last_column) = path[0], path[-1]
    x0, x1 = sorted((min(max(column, 0.0), size[1]), min(max(last_column, 0.0), size[1])))
    y0, y1 = sorted((min(max(row, 0.0), size[0]), min(max(last_row, 0.0), size[0])))
    return x0, y0, x1, y1
