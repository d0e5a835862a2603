"""Accept, reject or mend predictions, worst frame first, and train again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImageReader, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QSlider,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance
from rise_engine.project.review_queue import QueueEntry, rank_frames
from rise_engine.resources import starter_path
from rise_napari.background import run_beside, stream_beside
from rise_napari.steps.step import Step, button
from rise_napari.workspace import Workspace

STORED_SCORE = 0.3
QUEUE_LENGTH = 50
THUMBNAIL = QSize(64, 48)


class ReviewStep(Step):
    """The queue of frames, the predictions of the one in view, and three large buttons."""

    name = "Review"

    def __init__(
        self, workspace: Workspace, *, hide_below: Callable[[float], None], train_again: Callable[[], None]
    ) -> None:
        super().__init__(workspace)
        self._hide_below = hide_below
        self._queue_stale = True
        self._predicting = False
        self.queue = QListWidget()
        self.queue.setIconSize(THUMBNAIL)
        self.queue.setWordWrap(True)
        self.queue.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.queue.setToolTip("Which frame to look at next, and why")
        self.queue.itemClicked.connect(lambda item: workspace.show(item.data(Qt.ItemDataRole.UserRole)))
        self.predict = button("Predict all", self.predict_all, "Predict every unlabelled frame with the latest run")
        self.predict_one = button("Predict this", self.predict_frame, "Predict the frame in view with the latest run")
        self.progress = QProgressBar()
        self.progress.hide()
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QLabel("Look at next"))
        column.addWidget(self.queue, 1)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["#", "category", "score"])
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(int(STORED_SCORE * 100), 99)
        self.slider.setValue(50)
        self.slider.setToolTip("Predictions below this score are hidden, and not accepted")
        self.slider.valueChanged.connect(self._score_moved)
        self.score = QLabel()
        self.accept_chosen = button("Accept selected", self.accept_selected, "Keep the selected predictions")
        self.reject_chosen = button("Reject selected  (R)", self.reject_selected, "Drop the selected predictions")
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        self.frame_label = QLabel()
        column.addWidget(self.frame_label)
        column.addWidget(self.table, 1)
        column.addWidget(self.score)
        column.addWidget(self.slider)
        column.addWidget(self.accept_chosen)
        column.addWidget(self.reject_chosen)
        panes = QSplitter(Qt.Orientation.Horizontal)
        panes.addWidget(left)
        panes.addWidget(right)
        panes.setSizes([215, 195])
        panes.setChildrenCollapsible(False)
        predicting = QHBoxLayout()
        predicting.addWidget(self.predict)
        predicting.addWidget(self.predict_one)
        large = QVBoxLayout()
        self.accept_all = button(
            "Accept all shown, next  (A)", self.accept_and_go_on, "Keep every shown prediction", tall=True
        )
        self.next = button("Next frame", self.go_on, "Go to the next frame of the queue", tall=True)
        self.again = button(
            "Train again", train_again, "Go on learning from the latest run with the new labels", tall=True
        )
        pair = QHBoxLayout()
        pair.addWidget(self.next)
        pair.addWidget(self.again)
        large.addWidget(self.accept_all)
        large.addLayout(pair)
        self.body.addLayout(predicting)
        self.body.addWidget(self.progress)
        self.body.addWidget(panes, 1)
        self.body.addLayout(large)
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.training.state_changed):
            signal.connect(self._queue_changed)
        workspace.frame_changed.connect(self.refresh)
        workspace.predictions_changed.connect(self._queue_changed)
        self._score_moved(self.slider.value())

    # -- what the tab says ------------------------------------------------------------------------------------------

    def advice(self) -> str:
        workspace = self.workspace
        if workspace.project is None:
            return "Open a folder of images in the Project tab first."
        if not self._has_model():
            return "There is no trained model yet: train one in the Train tab."
        if not workspace.predictions():
            return "This frame has no predictions to review: press Predict all, or choose a frame of the list."
        return "Accept what is right (A); to mend an object, accept it and paint over it; reject what is wrong (R)."

    def finished(self) -> bool:
        return bool(self.workspace.count(FrameState.REVIEWED))

    def _has_model(self) -> bool:
        """Whether there is something to predict with: a finished run, or the starter weights."""
        project = self.workspace.project
        if project is None:
            return False
        return starter_path() is not None or any(run.finished is not None for run in project.runs())

    def showEvent(self, event: object) -> None:
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        super().refresh()
        workspace = self.workspace
        if self._queue_stale and self.isVisible():
            self._fill_queue()
        frame = workspace.frame
        self.frame_label.setText(f"<b>{frame.name}</b>" if frame is not None else "")
        names = {category.id: category.name for category in workspace.categories}
        shown = self.shown_predictions()
        self.table.setRowCount(len(shown))
        for row, one in enumerate(shown):
            for column, text in enumerate((str(row + 1), names.get(one.category, "?"), f"{one.score or 0:.2f}")):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, one.id)
                self.table.setItem(row, column, item)
        self.table.setColumnWidth(0, 32)
        self.table.setColumnWidth(2, 50)
        everything = len(workspace.predictions())
        self.score.setText(f"Score at least {self.min_score:.2f}: {len(shown)} of {everything}")
        usable = workspace.writable and frame is not None
        for widget in (self.accept_chosen, self.reject_chosen, self.accept_all):
            widget.setEnabled(usable and bool(shown))
        self.next.setEnabled(self.queue.count() > 0)
        able = usable and self._has_model() and not self._predicting
        self.predict.setEnabled(able)
        self.predict_one.setEnabled(able)
        self.again.setEnabled(able and not workspace.training.running)

    @property
    def min_score(self) -> float:
        """Predictions below this are hidden."""
        return self.slider.value() / 100

    def shown_predictions(self) -> list[Instance]:
        """The predictions of the frame in view that the slider lets through, best first."""
        return [one for one in self.workspace.predictions() if (one.score or 0.0) >= self.min_score]

    def _score_moved(self, _value: int) -> None:
        self._hide_below(self.min_score)
        self.refresh()

    def _queue_changed(self) -> None:
        self._queue_stale = True
        self.refresh()

    def _fill_queue(self) -> None:
        """Ranks the frames beside the window; without predictions that means to look at every image."""
        project = self.workspace.project
        self._queue_stale = False
        if project is None:
            self.queue.clear()
            return
        path = project.path

        def work() -> list[QueueEntry]:
            with Project.open(path, read_only=True) as other:
                return rank_frames(other, top=QUEUE_LENGTH)

        run_beside(self.workspace, work, done=lambda ranked: self._show_queue(path, ranked))

    def _show_queue(self, path: Path, ranked: list[QueueEntry]) -> None:
        project = self.workspace.project
        if project is None or project.path != path:
            return
        self.queue.clear()
        for entry in ranked:
            self.queue.addItem(self._queue_item(project, entry))
        self.next.setEnabled(bool(ranked))

    def _queue_item(self, project: Project, entry: QueueEntry) -> QListWidgetItem:
        item = QListWidgetItem(f"{entry.frame.name}\n{entry.reason}  ({entry.score:.2f})")
        item.setData(Qt.ItemDataRole.UserRole, entry.frame.id)
        item.setToolTip(f"{entry.frame.name}: {entry.reason}")
        # The decoder scales while it reads, so a thumbnail costs a fraction of the image.
        reader = QImageReader(str(project.images / entry.frame.name))
        reader.setAutoTransform(True)
        if reader.size().isValid():
            reader.setScaledSize(reader.size().scaled(THUMBNAIL, Qt.AspectRatioMode.KeepAspectRatio))
        picture = reader.read()
        if not picture.isNull():
            item.setIcon(QIcon(QPixmap.fromImage(picture)))
        return item

    # -- actions ----------------------------------------------------------------------------------------------------

    def _selected_ids(self) -> list[int]:
        rows = sorted({index.row() for index in self.table.selectedIndexes()})
        items = [self.table.item(row, 0) for row in rows]
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def accept_selected(self) -> None:
        """Keeps the selected predictions; the frame counts as reviewed."""
        chosen = self._selected_ids()
        if chosen:
            self.workspace.accept(chosen)
        else:
            self.workspace.tell("Select predictions in the table first.")

    def reject_selected(self) -> None:
        """Drops the selected predictions."""
        chosen = self._selected_ids()
        if chosen:
            self.workspace.reject(chosen)
        else:
            self.workspace.tell("Select predictions in the table first.")

    def accept_and_go_on(self) -> None:
        """Keeps every shown prediction, marks the frame reviewed and goes to the next frame of the queue."""
        if self.workspace.accept([one.id for one in self.shown_predictions() if one.id is not None]):
            self.go_on()

    def go_on(self) -> None:
        """Shows the first frame of the queue that is neither in view nor reviewed by now."""
        frame = self.workspace.frame
        done = {one.id for one in self.workspace.frames if one.state is FrameState.REVIEWED}
        queued = [self.queue.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.queue.count())]
        following = next((one for one in queued if one not in done and (frame is None or one != frame.id)), None)
        if following is None:
            self.workspace.tell("There is no other frame to review.")
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
            self.workspace.tell("Every frame is labelled, so there is nothing to predict.")
            return
        path = project.path
        self._predicting = True
        self.progress.setRange(0, len(frame_ids))
        self.progress.setValue(0)
        self.progress.setFormat("predicting %v of %m")
        self.progress.show()
        self.refresh()
        stream_beside(
            self.workspace,
            lambda: self.workspace.engine.run("predict", project=str(path), frames=frame_ids, min_score=STORED_SCORE),
            each=self._predicted_some,
            finished=self._predicted,
        )

    def _predicted_some(self, answer: dict[str, Any]) -> None:
        if "progress" in answer:
            self.progress.setValue(answer["progress"])
        for sentence in answer.get("result", {}).get("unreadable", []):
            self.workspace.tell(sentence, "warning")

    def _predicted(self) -> None:
        self._predicting = False
        self.progress.hide()
        self.workspace.predictions_changed.emit(None)
