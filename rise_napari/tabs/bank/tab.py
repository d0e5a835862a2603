"""The Bank tab: the cut-outs of the instance bank, and a preview of the pseudo-sequence of the frame in view."""

from __future__ import annotations

from collections.abc import Callable

from rise_engine.project.records import ANNOTATED_STATES
from rise_napari.tabs.bank.grid import BankGrid
from rise_napari.tabs.bank.sequence_preview import SequencePreview
from rise_napari.tabs.tab import NO_PROJECT, Tab
from rise_napari.workspace import Workspace

TWO_COLUMN_HEIGHT = 840
"""Pixels. In a tab of at least this height the larger views fit without scrolling."""


class BankTab(Tab):
    """The grid of cut-outs above, the preview below."""

    name = "Bank"

    def __init__(self, workspace: Workspace, *, use_settings: Callable[[list[str]], None]) -> None:
        super().__init__(workspace)
        self.cut_outs = BankGrid(workspace)
        self.preview = SequencePreview(workspace, use_settings=use_settings)
        self.cut_outs.changed.connect(self.preview.generate)
        self.body.addWidget(self.cut_outs, 1)
        self.body.addWidget(self.preview)
        self.body.addStretch(0)
        for signal in (workspace.project_changed, workspace.frames_changed):
            signal.connect(self.refresh)
        self.refresh()

    def advice(self) -> str:
        if self.workspace.project is None:
            return NO_PROJECT
        if not self.workspace.count(*ANNOTATED_STATES):
            return "The bank is empty. Draw the objects of a frame in the Annotate tab to fill it."
        return "The pseudo-sequences are made from these cut-outs. Exclude those with a bad mask."

    def refresh(self) -> None:
        super().refresh()
        for widget in (self.cut_outs, self.preview):
            widget.setVisible(self.workspace.project is not None)

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self.preview.arrange(2 if self.height() >= TWO_COLUMN_HEIGHT else 3)

    def finished(self) -> bool:
        return bool(self.workspace.count(*ANNOTATED_STATES))

    def showEvent(self, event: object) -> None:
        super().showEvent(event)
        self.refresh()
        self.cut_outs.fill()
        self.preview.generate()
