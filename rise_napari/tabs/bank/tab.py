"""The instance bank as pictures, and what the learner makes of them: a pseudo-sequence of the frame in view."""

from __future__ import annotations

from collections.abc import Callable

from rise_engine.project.records import ANNOTATED_STATES
from rise_napari.tabs.bank.grid import BankGrid
from rise_napari.tabs.bank.sequence_preview import SequencePreview
from rise_napari.tabs.tab import Tab
from rise_napari.workspace import Workspace

ROOMY = 840
"""Pixels; in a tab so high the larger views fit without scrolling."""


class BankTab(Tab):
    """The grid of cut-outs above, the preview below."""

    name = "Bank"

    def __init__(self, workspace: Workspace, *, use_settings: Callable[[list[str]], None]) -> None:
        super().__init__(workspace)
        self.cut_outs = BankGrid(workspace)
        self.preview = SequencePreview(workspace, use_settings=use_settings)
        self.cut_outs.changed.connect(self.preview.restage)
        self.body.addWidget(self.cut_outs, 1)
        self.body.addWidget(self.preview)
        self.body.addStretch(0)
        for signal in (workspace.project_changed, workspace.frames_changed):
            signal.connect(self.refresh)
        self.refresh()

    def advice(self) -> str:
        if self.workspace.project is None:
            return "Open a folder of images in the Project tab first."
        if not self.workspace.count(*ANNOTATED_STATES):
            return "The bank is empty: draw the objects of a frame in the Annotate tab, and they appear here."
        return "These cut-outs are pasted, moved and removed to stage interactions. Exclude those that are cut badly."

    def refresh(self) -> None:
        super().refresh()
        # Empty boxes say nothing that the sentence above them does not.
        for widget in (self.cut_outs, self.preview):
            widget.setVisible(self.workspace.project is not None)

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self.preview.arrange(2 if self.height() >= ROOMY else 3)

    def finished(self) -> bool:
        return bool(self.workspace.count(*ANNOTATED_STATES))

    def showEvent(self, event: object) -> None:
        super().showEvent(event)
        self.refresh()
        self.cut_outs.fill()
        self.preview.restage()
