"""The Review tab: clicks on Accept, Reject, Edit, Next frame and Train again are handled here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QSplitter

from rise_engine.project.records import FrameState, Instance
from rise_engine.project.wording import number_of
from rise_napari.tabs.review.confident_frames import ConfidentFramesButton
from rise_napari.tabs.review.predict_bar import PredictBar
from rise_napari.tabs.review.prediction_pane import PaneActions, PredictionPane
from rise_napari.tabs.review.queue import FrameQueue
from rise_napari.tabs.tab import NO_PROJECT, Tab, button
from rise_napari.workspace import Workspace

PANE_WIDTH = 195
NOTHING_SELECTED = "Select predictions in the table first."


class ReviewTab(Tab):
    """The queue of frames, the predictions of the frame in view, and the buttons that accept them and go on."""

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
        """``highlight`` outlines predictions on the image; ``pick`` lets the person select predictions there."""
        super().__init__(workspace)
        self._hide_below = hide_below
        self._highlight = highlight
        self._build_predict_bar()
        self._build_panes(pick)
        self._build_large_buttons(train_again)
        self._connect_signals()
        self._score_changed()

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_predict_bar(self) -> None:
        self.prediction = PredictBar(self.workspace)
        self.predict, self.predict_one = self.prediction.all_frames, self.prediction.this_frame
        self.body.addWidget(self.prediction)

    def _build_panes(self, pick: Callable[[], object]) -> None:
        self.frames = FrameQueue(self.workspace)
        self.queue = self.frames.list
        self.pane = PredictionPane(
            self.workspace,
            PaneActions(
                accept=self.accept_selected,
                reject=self.reject_selected,
                edit=self.edit_selected,
                select_on_image=pick,
                reject_hidden=self.reject_hidden,
                score_changed=self._score_changed,
                highlight=self._highlight,
            ),
        )
        self.table, self.slider = self.pane.table, self.pane.slider
        panes = QSplitter(Qt.Orientation.Horizontal)
        panes.addWidget(self.frames)
        panes.addWidget(self.pane)
        panes.setSizes([PANE_WIDTH, PANE_WIDTH])
        panes.setChildrenCollapsible(False)
        self.body.addWidget(panes, 1)

    def _build_large_buttons(self, train_again: Callable[[], None]) -> None:
        self.accept_all = button(
            "",
            self.accept_and_go_on,
            "Accept every shown prediction, mark the frame as reviewed, and show the next frame of the queue.",
            tall=True,
            icon="accept",
        )
        self.next = button("Next frame", self.go_on, "Show the next frame of the queue.", tall=True)
        self.again = button(
            "Train again",
            train_again,
            "Continue the training of the model in use with the new labels, for at most five minutes.",
            tall=True,
            icon="train",
        )
        self.accept_sure = ConfidentFramesButton(self.workspace)
        grid = QGridLayout()
        grid.addWidget(self.accept_all, 0, 0, 1, 2)
        grid.addWidget(self.next, 1, 0)
        grid.addWidget(self.again, 1, 1)
        grid.addWidget(self.accept_sure, 2, 0, 1, 2)
        self.body.addLayout(grid)

    def _connect_signals(self) -> None:
        workspace = self.workspace
        for signal in (
            workspace.project_changed,
            workspace.frames_changed,
            workspace.predictions_changed,
            workspace.training.state_changed,
        ):
            signal.connect(self._queue_changed)
        workspace.frame_changed.connect(self.refresh)
        self.prediction.running_changed.connect(self.refresh)
        self.frames.filled.connect(self._show_next)

    # -- what the tab shows -----------------------------------------------------------------------------------------

    def advice(self) -> str:
        workspace = self.workspace
        if workspace.project is None:
            return NO_PROJECT
        if not self.prediction.has_model():
            return "There is no trained model yet. Train one in the Train tab."
        if workspace.training.running:
            return "A training is running. It does not use what you accept now; the next one will."
        if not workspace.predictions():
            return "This frame has no predictions. Press Predict all, or select another frame in the list."
        return "Accept what is right (A), edit masks with small errors, reject what is wrong (R). Then train again."

    def finished(self) -> bool:
        return bool(self.workspace.count(FrameState.REVIEWED))

    def showEvent(self, event: object) -> None:
        super().showEvent(event)
        self._count_confident()
        self.refresh()

    def hideEvent(self, event: object) -> None:
        super().hideEvent(event)
        if not self.workspace.ended:
            self._highlight([])

    def refresh(self) -> None:
        super().refresh()
        if self.isVisible():
            self.frames.fill_if_stale()
        self.prediction.refresh()
        self.pane.refresh()
        self._show_accept_all()
        self.again.setEnabled(self.prediction.able and not self.workspace.training.running)
        self._show_next()

    def _show_accept_all(self) -> None:
        shown = self.shown_predictions()
        decided = not shown and bool(self.workspace.instances())
        count = f"{len(shown)} " if shown else ""
        self.accept_all.setText("Mark reviewed, next  (A)" if decided else f"Accept all {count}shown, next  (A)")
        usable = self.workspace.writable and self.workspace.frame is not None
        self.accept_all.setEnabled(usable and (bool(shown) or decided))

    def _show_next(self) -> None:
        self.next.setEnabled(self.queue.count() > 0)

    def _score_changed(self) -> None:
        self._hide_below(self.pane.min_score)
        self._count_confident()
        self.refresh()

    def _queue_changed(self) -> None:
        self.frames.mark_stale()
        self._count_confident()
        self.refresh()

    def _count_confident(self) -> None:
        if self.isVisible():
            self.accept_sure.count(self.pane.min_score)
        else:
            self.accept_sure.clear()

    def shown_predictions(self) -> list[Instance]:
        """The predictions of the frame in view at or above the slider's score, the best first."""
        return self.pane.shown()

    def select(self, ids: Collection[int]) -> None:
        """Selects predictions of the frame in view in the table."""
        self.table.select_ids(ids)
        words = f"{number_of(len(ids), 'prediction')} selected."
        self.workspace.notify(f"{words} Accept or reject with the buttons, or select again.")

    # -- actions, also called by keys -------------------------------------------------------------------------------

    def accept_selected(self) -> None:
        """Accepts the selected predictions. The frame becomes reviewed when no shown prediction is left."""
        selected = self.table.selected_ids()
        if selected:
            self.workspace.accept(selected, reviewed=not self._others_shown(selected))
        else:
            self.workspace.notify(NOTHING_SELECTED)

    def reject_selected(self) -> None:
        """Rejects the selected predictions. A frame with annotations becomes reviewed when no prediction is left."""
        selected = self.table.selected_ids()
        if not selected:
            self.workspace.notify(NOTHING_SELECTED)
            return
        last, annotated = not self._others_shown(selected), bool(self.workspace.instances_with_strokes())
        self.workspace.reject(selected, reviewed=last and annotated)
        if last and not annotated:
            self.workspace.notify("No prediction is left. Draw what is missing (N), or press H if there is no object.")

    def _others_shown(self, selected: Collection[int]) -> bool:
        """Whether shown predictions besides the selected ones are undecided."""
        return any(one.id not in selected for one in self.shown_predictions())

    def edit_selected(self) -> None:
        """Accepts the selected prediction and selects it on the canvas with the brush."""
        selected, before = self.table.selected_ids(), {one.id for one in self.workspace.instances()}
        if len(selected) == 1 and self.workspace.accept(selected, reviewed=False):
            new = [one.id for one in self.workspace.instances() if one.id not in before]
            if new:
                self.workspace.select(new[-1])
                self.workspace.paint_requested.emit()
                self.workspace.notify(
                    "Paint to add to the object, or erase (E) parts of it. Then accept the other predictions."
                )

    def reject_hidden(self) -> None:
        """Rejects the predictions of the frame in view that the slider hides."""
        self.workspace.reject([one.id for one in self.pane.hidden() if one.id is not None])

    def accept_and_go_on(self) -> None:
        """Accepts every shown prediction, marks the frame as reviewed and shows the next frame of the queue."""
        shown = [one.id for one in self.shown_predictions() if one.id is not None]
        if not shown and not self.workspace.instances_with_strokes():
            # One key press too many must not teach that an unseen frame has no object.
            self.workspace.notify("There is nothing to accept here. Lower the score, or press H if there is no object.")
        elif self.workspace.accept(shown):
            self.go_on()

    def go_on(self) -> None:
        """Shows the first frame of the queue that is unlabelled and not in view."""
        following = self.frames.following()
        if following is None:
            self.workspace.notify("There is no other frame to review.")
        else:
            self.workspace.show(following)
