"""Accept, reject or mend predictions, most useful frame first, and train again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QProgressBar,
    QSizePolicy,
    QSlider,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from rise_engine.project.records import FrameState, Instance
from rise_engine.project.wording import number_of
from rise_engine.resources import starter_path
from rise_napari.engine.background import stream_in_background
from rise_napari.tabs.instance_table import ROW_HEIGHT
from rise_napari.tabs.review.queue import FrameQueue
from rise_napari.tabs.tab import Tab, button
from rise_napari.workspace import Workspace

STORED_SCORE = 0.3
SHOWN_SCORE = 0.4
"""With fewer shown more is drawn by hand, with more shown more is rejected: here the two together are least."""


class ReviewTab(Tab):
    """The queue of frames, the predictions of the one in view, and three large buttons."""

    name = "Review"

    def __init__(
        self,
        workspace: Workspace,
        *,
        hide_below: Callable[[float], None],
        highlight: Callable[[Sequence[Instance]], None],
        pick: Callable[[], object],
        train_again: Callable[[], None],
    ) -> None:
        """``highlight`` outlines predictions on the picture, ``pick`` lets the person take some there."""
        super().__init__(workspace)
        self._hide_below = hide_below
        self._highlight = highlight
        self._predicting = False
        self._sure: dict[int, list[int]] = {}
        self.frames = FrameQueue(workspace)
        self.queue = self.frames.list
        self.predict = button(
            "Predict all", self.predict_all, "Predict every unlabelled frame with the model in use, in two lights"
        )
        self.predict_one = button("Predict this", self.predict_frame, "Predict the frame in view")
        self.progress = QProgressBar()
        self.progress.hide()
        panes = QSplitter(Qt.Orientation.Horizontal)
        panes.addWidget(self.frames)
        panes.addWidget(self._build_instances(pick))
        panes.setSizes([195, 195])
        panes.setChildrenCollapsible(False)
        predicting = QHBoxLayout()
        predicting.addWidget(self.predict)
        predicting.addWidget(self.predict_one)
        self.accept_all = button(
            "Accept all shown, next  (A)",
            self.accept_and_go_on,
            "Keep every shown prediction, mark the frame reviewed, and go to the next of the queue",
            tall=True,
            icon="accept",
        )
        self.next = button("Next frame", self.go_on, "Go to the next frame of the queue", tall=True)
        self.again = button(
            "Train again",
            train_again,
            "Go on learning from the model in use with the new labels, for five minutes at most",
            tall=True,
            icon="train",
        )
        self.accept_sure = button("", self.accept_sure_frames, "")
        large = QGridLayout()
        large.addWidget(self.accept_all, 0, 0, 1, 2)
        large.addWidget(self.next, 1, 0)
        large.addWidget(self.again, 1, 1)
        large.addWidget(self.accept_sure, 2, 0, 1, 2)
        self.body.addLayout(predicting)
        self.body.addWidget(self.progress)
        self.body.addWidget(panes, 1)
        self.body.addLayout(large)
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.training.state_changed):
            signal.connect(self._queue_changed)
        workspace.frame_changed.connect(self.refresh)
        workspace.predictions_changed.connect(self._queue_changed)
        self.frames.filled.connect(self._show_next)
        self._score_moved(self.slider.value())

    def _build_instances(self, pick: Callable[[], object]) -> QWidget:
        self.frame_label = QLabel()
        self.frame_label.setWordWrap(True)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["#", "category", "score"])
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        # Tab goes on to the next button, the arrows go through the rows.
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.setToolTip("Selected predictions are outlined on the picture; Ctrl or Shift selects several")
        self.table.itemSelectionChanged.connect(self._selection_changed)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(int(STORED_SCORE * 100), 99)
        self.slider.setValue(round(SHOWN_SCORE * 100))
        self.slider.setToolTip("Predictions below this score are hidden, and not accepted")
        self.slider.valueChanged.connect(self._score_moved)
        self.score = QLabel()
        self.score.setWordWrap(True)
        self.pick = button("Pick", pick, "Click on a prediction, or drag a box round several; Esc gives the mouse back")
        self.accept_chosen = button(
            "Accept", self.accept_selected, "Keep only the selected predictions (Shift + A)", icon="accept"
        )
        self.reject_chosen = button("Reject", self.reject_selected, "Drop the selected predictions (R)", icon="reject")
        self.edit = button("Mend", self.edit_selected, "Keep the selected prediction and paint over it")
        self.reject_hidden = button("", self.reject_below, "Drop the predictions that the slider hides in this frame")
        pane = QWidget()
        column = QVBoxLayout(pane)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self.accept_chosen, self.reject_chosen, self.edit, self.pick):
            # The pane may be narrower than the words: the dock shares the screen with the picture.
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        pairs = QGridLayout()
        pairs.setSpacing(4)
        pairs.addWidget(self.accept_chosen, 0, 0)
        pairs.addWidget(self.reject_chosen, 0, 1)
        pairs.addWidget(self.edit, 1, 0)
        pairs.addWidget(self.pick, 1, 1)
        column.addWidget(self.frame_label)
        column.addWidget(self.table, 1)
        column.addLayout(pairs)
        column.addWidget(self.score)
        column.addWidget(self.slider)
        column.addWidget(self.reject_hidden)
        return pane

    # -- what the tab says ------------------------------------------------------------------------------------------

    def advice(self) -> str:
        workspace = self.workspace
        if workspace.project is None:
            return "Open a folder of images in the Project tab first."
        if not self._has_model():
            return "There is no trained model yet: train one in the Train tab."
        if self.workspace.training.running:
            return "A training is running: what you accept now counts from the next one on."
        if not workspace.predictions():
            return "This frame has no predictions to review: press Predict all, or choose a frame of the list."
        return "Accept what is right (A), mend what is nearly right, reject what is wrong (R); then train again."

    def finished(self) -> bool:
        return bool(self.workspace.count(FrameState.REVIEWED))

    def _has_model(self) -> bool:
        """Whether there is something to predict with: a finished run, or the starter weights."""
        project = self.workspace.project
        if project is None:
            return False
        return starter_path() is not None or project.runs.current() is not None

    def showEvent(self, event: object) -> None:
        super().showEvent(event)
        self._count_sure()
        self.refresh()

    def hideEvent(self, event: object) -> None:
        super().hideEvent(event)
        if not self.workspace.ended:
            self._highlight([])

    def refresh(self) -> None:
        super().refresh()
        workspace = self.workspace
        if self.isVisible():
            self.frames.fill_if_stale()
        frame = workspace.frame
        self.frame_label.setText(f"<b>{frame.name}</b> {frame.state}" if frame is not None else "")
        names = {category.id: category.name for category in workspace.categories}
        shown = self.shown_predictions()
        self.table.blockSignals(True)
        self.table.setRowCount(len(shown))
        for row, one in enumerate(shown):
            for column, text in enumerate((str(row + 1), names.get(one.category, "?"), f"{one.score or 0:.2f}")):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, one.id)
                self.table.setItem(row, column, item)
        self.table.clearSelection()
        self.table.blockSignals(False)
        self.table.setColumnWidth(0, 32)
        self.table.setColumnWidth(2, 50)
        everything = len(workspace.predictions())
        hidden = everything - len(shown)
        self.score.setText(f"Score ≥ {self.min_score:.2f}: {len(shown)} of {everything}")
        usable = workspace.writable and frame is not None
        left = f"Accept all {len(shown)} shown, next  (A)" if shown else "Accept all shown, next  (A)"
        decided = not shown and bool(workspace.instances())
        self.accept_all.setEnabled(usable and (bool(shown) or decided))
        self.accept_all.setText("Reviewed, next  (A)" if decided else left)
        self.reject_hidden.setText(f"Reject the {hidden} hidden" if hidden else "Reject the hidden ones")
        self.reject_hidden.setEnabled(usable and hidden > 0)
        self.pick.setEnabled(usable and bool(shown))
        able = usable and self._has_model() and not self._predicting
        self.predict.setEnabled(able)
        self.predict_one.setEnabled(able)
        self.again.setEnabled(able and not workspace.training.running)
        self._show_next()
        self._selection_changed()

    def _show_next(self) -> None:
        self.next.setEnabled(self.queue.count() > 0)

    def _selection_changed(self) -> None:
        chosen = self._selected_ids()
        usable = self.workspace.writable and self.workspace.frame is not None and bool(chosen)
        for widget, word in ((self.accept_chosen, "Accept"), (self.reject_chosen, "Reject")):
            widget.setEnabled(usable)
            widget.setText(f"{word} {len(chosen)}" if chosen else word)
        self.edit.setEnabled(usable and len(chosen) == 1)
        if self.isVisible():
            self._highlight([one for one in self.shown_predictions() if one.id in chosen] if chosen else [])

    def select(self, ids: Sequence[int]) -> None:
        """Selects predictions of the frame in view in the table."""
        wanted = set(ids)
        self.table.clearSelection()
        mode = self.table.selectionMode()
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
        for row in range(self.table.rowCount()):
            item = self.table.item(row, 0)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) in wanted:
                self.table.selectRow(row)
        self.table.setSelectionMode(mode)
        words = "1 prediction is" if len(wanted) == 1 else f"{len(wanted)} predictions are"
        self.workspace.notify(f"{words} selected: accept or reject them with the buttons, or select again.")

    @property
    def min_score(self) -> float:
        """Predictions below this are hidden."""
        return self.slider.value() / 100

    def shown_predictions(self) -> list[Instance]:
        """The predictions of the frame in view that the slider lets through, best first."""
        return [one for one in self.workspace.predictions() if (one.score or 0.0) >= self.min_score]

    def _score_moved(self, _value: int) -> None:
        self._hide_below(self.min_score)
        self._count_sure()
        self.refresh()

    def _queue_changed(self) -> None:
        self.frames.mark_stale()
        self._count_sure()
        self.refresh()

    def _count_sure(self) -> None:
        """The unlabelled frames of which every prediction is above the slider."""
        project = self.workspace.project
        if not self.isVisible() or project is None:
            self._sure = {}
        else:
            open_frames = {one.id for one in self.workspace.frames if one.state is FrameState.UNLABELLED}
            sure = project.predictions.sure(self.min_score)
            self._sure = {frame: ids for frame, ids in sure.items() if frame in open_frames}
        count = sum(map(len, self._sure.values()))
        frames = number_of(len(self._sure), "sure frame")
        self.accept_sure.setText(f"Accept {frames}: {count:,} in all…" if self._sure else "No frame is sure throughout")
        self.accept_sure.setToolTip(
            f"Frames of which no prediction has a score below {self.min_score:.2f}, as the slider says; "
            "it asks before it does so, and one undo takes it back"
        )
        self.accept_sure.setEnabled(self.workspace.writable and bool(self._sure))

    # -- actions ----------------------------------------------------------------------------------------------------

    def _selected_ids(self) -> list[int]:
        rows = sorted({index.row() for index in self.table.selectedIndexes()})
        items = [self.table.item(row, 0) for row in rows]
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def accept_selected(self) -> None:
        """Keeps the selected predictions; with the last of those shown, the frame counts as reviewed."""
        chosen = self._selected_ids()
        if chosen:
            self.workspace.accept(chosen, reviewed=not self._others(chosen))
        else:
            self.workspace.notify("Select predictions in the table first.")

    def _others(self, chosen: Sequence[int]) -> bool:
        """Whether predictions are shown besides those chosen: then the frame is not decided yet."""
        return any(one.id not in chosen for one in self.shown_predictions())

    def reject_selected(self) -> None:
        """Drops the selected predictions; with the last of those shown, a frame that has some counts as reviewed."""
        chosen = self._selected_ids()
        if not chosen:
            self.workspace.notify("Select predictions in the table first.")
            return
        decided, some = not self._others(chosen), bool(self.workspace.instances_with_strokes())
        self.workspace.reject(chosen, reviewed=decided and some)
        if decided and not some:
            self.workspace.notify("Nothing is left here: draw what is missing (N), or press H if there is no object.")

    def edit_selected(self) -> None:
        """Keeps the selected prediction and takes it in hand, so that the brush mends it."""
        chosen, before = self._selected_ids(), {one.id for one in self.workspace.instances()}
        if len(chosen) == 1 and self.workspace.accept(chosen, reviewed=False):
            new = [one.id for one in self.workspace.instances() if one.id not in before]
            if new:
                self.workspace.select(new[-1])
                self.workspace.paint_requested.emit()
                self.workspace.notify("Paint to add to the object, erase (E) to take away; then accept the others.")

    def reject_below(self) -> None:
        """Drops the predictions of the frame in view that the slider hides."""
        shown = {one.id for one in self.shown_predictions()}
        self.workspace.reject([one.id for one in self.workspace.predictions() if one.id not in shown and one.id])

    def accept_sure_frames(self) -> None:
        """Keeps every prediction of the frames that have none below the slider, after asking."""
        project, sure = self.workspace.project, dict(self._sure)
        if project is None or not sure:
            return
        count = sum(map(len, sure.values()))
        question = (
            f"Accept {count:,} predictions in {len(sure):,} frames? Each of these frames has no prediction below "
            f"{self.min_score:.2f}, and counts as reviewed afterwards. Undo takes it back."
        )
        if QMessageBox.question(self, "Accept sure frames", question) != QMessageBox.StandardButton.Yes:
            return
        self.workspace.save_requested.emit()
        with self.workspace.reporting_errors():
            project.predictions.accept([number for ids in sure.values() for number in ids])
            self.workspace.reload()
            self.workspace.notify(f"{count:,} predictions in {len(sure):,} frames are accepted.")

    def accept_and_go_on(self) -> None:
        """Keeps every shown prediction, marks the frame reviewed and goes to the next frame of the queue."""
        shown = [one.id for one in self.shown_predictions() if one.id is not None]
        if not shown and not self.workspace.instances_with_strokes():
            # One key too many must not teach that there is no object in a frame that nobody looked at.
            self.workspace.notify("There is nothing to accept here: lower the score, or press H if there is no object.")
        elif self.workspace.accept(shown):
            self.go_on()

    def go_on(self) -> None:
        """Shows the first frame of the queue that is neither in view nor done by now."""
        following = self.frames.following()
        if following is None:
            self.workspace.notify("There is no other frame to review.")
        else:
            self.workspace.show(following)

    def predict_all(self) -> None:
        """Predicts all frames that nobody has labelled, beside the window."""
        self._predict([frame.id for frame in self.workspace.frames if frame.state is FrameState.UNLABELLED])

    def predict_frame(self) -> None:
        """Predicts the frame in view."""
        if self.workspace.frame is not None:
            self._predict([self.workspace.frame.id])

    def _predict(self, frame_ids: list[int]) -> None:
        project = self.workspace.project
        if project is None or self._predicting:
            return
        if not frame_ids:
            self.workspace.notify("Every frame is labelled, so there is nothing to predict.")
            return
        path = project.path
        self._predicting = True
        self.progress.setRange(0, len(frame_ids))
        self.progress.setValue(0)
        self.progress.setFormat("predicting %v of %m")
        self.progress.show()
        self.refresh()
        stream_in_background(
            self.workspace,
            lambda: self.workspace.engine.run("predict", project=str(path), frames=frame_ids, min_score=STORED_SCORE),
            each=self._predicted_some,
            finished=self._predicted,
        )

    def _predicted_some(self, answer: dict[str, Any]) -> None:
        if "progress" in answer:
            self.progress.setValue(answer["progress"])
        for sentence in answer.get("result", {}).get("unreadable", []):
            self.workspace.notify(sentence, "warning")

    def _predicted(self) -> None:
        self._predicting = False
        self.progress.hide()
        self.workspace.predictions_changed.emit(None)
