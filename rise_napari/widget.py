"""The dock widget "RISE: train from annotations": a header that always tells the state, and one tab per step."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QHideEvent
from qtpy.QtWidgets import QApplication, QDialog, QPushButton, QTabWidget, QVBoxLayout, QWidget

from rise_napari.engine.garbage_collection import CalmCollector
from rise_napari.layers.project_layers import ProjectLayers
from rise_napari.manifest.preferences import reopens_last
from rise_napari.tabs.annotate import AnnotateTab
from rise_napari.tabs.bank.tab import BankTab
from rise_napari.tabs.export import ExportTab
from rise_napari.tabs.project.tab import ProjectTab
from rise_napari.tabs.review.tab import ReviewTab
from rise_napari.tabs.tab import Tab
from rise_napari.tabs.train.tab import BETWEEN_SETTINGS, TrainTab
from rise_napari.tools.select_predictions import PredictionPicker
from rise_napari.tools.toolbox import Toolbox
from rise_napari.training.curves import Curves
from rise_napari.training.session import RunState
from rise_napari.ui.colours import FOCUS
from rise_napari.ui.commands import actions
from rise_napari.ui.header import Header
from rise_napari.ui.identity import PLUGIN
from rise_napari.ui.introduction import Introductions
from rise_napari.ui.shortcuts import Shortcuts
from rise_napari.workspace import Workspace

CURVES_NAME = "RISE: curves"
WIDTH, MINIMUM_WIDTH = 440, 360


class Workbench(QWidget):
    """Everything between a folder of images and a COCO file and a model, in one dock.

    ``workspace`` is for tests that bring their own trainer.
    """

    def __init__(self, napari_viewer: Viewer, workspace: Workspace | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.workspace = workspace or Workspace()
        self.layers = ProjectLayers(napari_viewer, self.workspace)
        self.tools = Toolbox(napari_viewer, self.workspace, self.layers)
        self.header = Header(self.workspace)
        self.project = ProjectTab(self.workspace)
        self.annotate = AnnotateTab(self.workspace, self.tools)
        self.bank = BankTab(self.workspace, use_settings=self._use_settings)
        self.train = TrainTab(self.workspace, hide_live_below=self.layers.set_live_min_score)
        self.picker = PredictionPicker(
            napari_viewer,
            self.layers,
            shown=lambda: self.review.shown_predictions(),
            choose=lambda ids: self.review.select(ids),
        )
        self.review = ReviewTab(
            self.workspace,
            hide_below=self.layers.set_min_score,
            highlight=self.picker.highlight,
            pick=self.picker.take,
            train_again=self._train_again,
        )
        self.export = ExportTab(self.workspace)
        self.curves = Curves(self.workspace)
        self._collector = CalmCollector(self.workspace.training)
        self._curves_dock: QWidget | None = None
        self.tabs = QTabWidget()
        self.tabs.setTabPosition(QTabWidget.TabPosition.West)
        for step in self.steps:
            self.tabs.addTab(step, step.name)
        self.introductions = Introductions(self.steps, self.project.remembered)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self.tabs, 1)
        self.setMinimumWidth(MINIMUM_WIDTH)
        self.setAcceptDrops(True)
        self.setStyleSheet(FOCUS)
        self.shortcuts = Shortcuts(napari_viewer, actions(self))
        self.shortcuts.let_through(self)
        self.layers.annotations_added.connect(self.shortcuts.bind_layer)
        self.header.keys.clicked.connect(lambda _checked=False: self.show_keys())
        self.workspace.project_changed.connect(self._drop_sample_layers)
        for signal in (self.workspace.project_changed, self.workspace.frames_changed):
            signal.connect(self._mark_step)
        self.workspace.training.state_changed.connect(self._training_changed)
        self._mark_step()
        if reopens_last():
            # In a moment, for whoever made the window may open something himself.
            QTimer.singleShot(0, self._reopen)
        self.destroyed.connect(partial(_end, self.workspace, self._collector))
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.shut_down)

    def sizeHint(self) -> QSize:
        """Wide enough for every tab, and no wider: the picture needs the room."""
        return QSize(WIDTH, super().sizeHint().height())

    @property
    def steps(self) -> tuple[Tab, ...]:
        """The tabs in their order."""
        return self.project, self.annotate, self.bank, self.train, self.review, self.export

    def keys_dialog(self) -> QDialog:
        """The list of keys, and of what has none."""
        return self.shortcuts.dialog(self, introduce=self.introductions.show_again)

    def show_keys(self) -> None:
        """Shows the list of keys."""
        self.keys_dialog().open()

    def go_to(self, step: Tab) -> None:
        """Brings a tab into view, with the keyboard in its first control."""
        self.tabs.setCurrentWidget(step)
        self._focus_controls()

    def switch_focus(self) -> None:
        """Moves the keyboard from the picture to the controls of the tab, and back."""
        focused = QApplication.focusWidget()
        if focused is not None and self.isAncestorOf(focused):
            # The main window has it then, which hands keys on to the picture.
            focused.clearFocus()
        else:
            self._focus_controls()

    def _focus_controls(self) -> None:
        self.tabs.tabBar().setFocus(Qt.FocusReason.TabFocusReason)

    def press(self, button: QPushButton) -> None:
        """Presses a button of a tab in front of the person's eyes; says so where it cannot be pressed now."""
        for step in self.steps:
            if step.isAncestorOf(button):
                self.tabs.setCurrentWidget(step)
                if not button.isEnabled():
                    self.workspace.notify(f"{button.text().strip('…')} is not possible now. {step.advice()}", "warning")
        button.click()

    def _mark_step(self) -> None:
        """Marks the first step that is not finished."""
        open_steps = [step for step in self.steps if not step.finished()]
        for index, step in enumerate(self.steps):
            mark = "● " if open_steps and step is open_steps[0] else ""
            self.tabs.setTabText(index, f"{mark}{step.name}")

    def _use_settings(self, settings: list[str]) -> None:
        """Writes settings into the Train tab, in place of others of the same section."""
        typed = [one for one in BETWEEN_SETTINGS.split(self.train.more.text().strip(" ,")) if one]
        others = [one for one in typed if not one.startswith("sequence.")]
        self.train.more.setText(", ".join([*others, *settings]))
        taken = ", ".join(settings) or "the usual settings"
        self.workspace.notify(f"The next training takes {taken}.")

    def _train_again(self) -> None:
        self.tabs.setCurrentWidget(self.train)
        self.train.train_again()

    def _training_changed(self) -> None:
        state = self.workspace.training.state
        if state is RunState.STARTING:
            self.curves.clear()
            self._open_curves()
        if state is RunState.FAILED and self.workspace.training.failure is not None:
            failure = self.workspace.training.failure
            self.workspace.notify(f"{failure.message} {failure.hint}".strip(), "error")
        if state is RunState.FINISHED:
            self.workspace.refresh_frames()
        self._mark_step()

    def _open_curves(self) -> None:
        if self._curves_dock is None:
            self._curves_dock = self._viewer.window.add_dock_widget(self.curves, name=CURVES_NAME, area="bottom")
        self._curves_dock.show()

    # -- opening ----------------------------------------------------------------------------------------------------

    def open_path(self, path: Path) -> None:
        """Opens a folder of images, a project, or a COCO file beside its images."""
        self.tabs.setCurrentWidget(self.project)
        self.project.open_path(path)

    def open_samples(self) -> None:
        """Opens sample totes to work with."""
        if not self.workspace.ended:
            self.tabs.setCurrentWidget(self.project)
            self.project.open_samples()

    def _drop_sample_layers(self) -> None:
        """What File > Open Sample put into the viewer gives way to the project that it opened."""
        if self.workspace.project is not None:
            layers = self._viewer.layers
            for layer in [one for one in layers if one.source.sample is not None and one.source.sample[0] == PLUGIN]:
                layers.remove(layer)

    def _reopen(self) -> None:
        if self.workspace.project is None and not self.workspace.ended:
            self.project.open_last()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_path(paths[0])

    # -- the end ----------------------------------------------------------------------------------------------------

    def hideEvent(self, event: QHideEvent) -> None:
        """Out of sight may be the last that is heard of the window: what was drawn is saved."""
        if not self.workspace.ended:
            self.workspace.save_requested.emit()
        super().hideEvent(event)

    def shut_down(self) -> None:
        """Saves what is unsaved, ends the training and lets the project go."""
        if not self.workspace.ended:
            self.layers.close()
            self.shortcuts.close()
            _end(self.workspace, self._collector)


def _end(workspace: Workspace, collector: CalmCollector, _widget: object = None) -> None:
    workspace.end()
    collector.release()
