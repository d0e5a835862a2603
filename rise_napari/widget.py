"""The dock widget "RISE: train from annotations": creates and connects header, tabs, layers and tools."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QHideEvent
from qtpy.QtWidgets import QApplication, QPushButton, QTabWidget, QVBoxLayout, QWidget

from rise_napari.engine.garbage_collection import PausedGarbageCollection
from rise_napari.layers.project_layers import ProjectLayers
from rise_napari.manifest.preferences import reopens_last
from rise_napari.tabs.annotate import AnnotateTab
from rise_napari.tabs.bank.tab import BankTab
from rise_napari.tabs.export import ExportTab
from rise_napari.tabs.project.tab import ProjectTab
from rise_napari.tabs.review.tab import ReviewTab
from rise_napari.tabs.tab import Tab
from rise_napari.tabs.train.tab import TrainTab
from rise_napari.tools.select_predictions import PredictionSelector
from rise_napari.tools.toolbox import Toolbox
from rise_napari.training.curves import Curves
from rise_napari.training.session import RunState
from rise_napari.ui.colours import FOCUS
from rise_napari.ui.header import Header
from rise_napari.ui.identity import PLUGIN
from rise_napari.ui.introduction import Introductions
from rise_napari.ui.shortcuts import Shortcuts
from rise_napari.ui.shortcuts_dialog import ShortcutsDialog
from rise_napari.workspace import Workspace

CURVES_NAME = "RISE: curves"
WIDTH, MINIMUM_WIDTH = 440, 360


class Workbench(QWidget):
    """The whole plugin in one dock: a header, and the tabs from a folder of images to an exported model.

    Tests pass a ``workspace`` with a trainer of their own.
    """

    def __init__(self, napari_viewer: Viewer, workspace: Workspace | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.workspace = workspace or Workspace()
        self.layers = ProjectLayers(napari_viewer, self.workspace)
        self.tools = Toolbox(napari_viewer, self.workspace, self.layers)
        self.header = Header(self.workspace)
        self._create_tabs()
        self.curves = Curves(self.workspace)
        self._curves_dock: QWidget | None = None
        self.shortcuts = Shortcuts(napari_viewer, self)
        self._garbage_collection = PausedGarbageCollection(self.workspace.training)
        self._arrange()
        self._connect()
        self._mark_next_tab()
        if reopens_last():
            # Later, because the code that created the window may open another project now.
            QTimer.singleShot(0, self._reopen)

    def _create_tabs(self) -> None:
        self.project = ProjectTab(self.workspace)
        self.annotate = AnnotateTab(self.workspace, self.tools)
        self.bank = BankTab(self.workspace, use_settings=self._use_settings)
        self.train = TrainTab(self.workspace, hide_live_below=self.layers.set_live_min_score)
        self.prediction_selector = PredictionSelector(
            self._viewer,
            self.layers,
            shown=lambda: self.review.shown_predictions(),
            select=lambda ids: self.review.select(ids),
        )
        self.review = ReviewTab(
            self.workspace,
            hide_below=self.layers.set_min_score,
            highlight=self.prediction_selector.highlight,
            pick=self.prediction_selector.activate,
            train_again=self._train_again,
        )
        self.export = ExportTab(self.workspace)

    def _arrange(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setTabPosition(QTabWidget.TabPosition.West)
        for tab in self.all_tabs:
            self.tabs.addTab(tab, tab.name)
        self.introductions = Introductions(self.all_tabs, self.project.remembered)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self.tabs, 1)
        self.setMinimumWidth(MINIMUM_WIDTH)
        self.setAcceptDrops(True)
        self.setStyleSheet(FOCUS)
        self.shortcuts.pass_keys_through(self)
        advanced = self.train.settings.advanced
        advanced.sections_built.connect(lambda: self.shortcuts.pass_keys_through(advanced))

    def _connect(self) -> None:
        self.layers.annotations_added.connect(self.shortcuts.bind_layer)
        self.header.shortcuts.clicked.connect(lambda _checked=False: self.show_shortcuts())
        self.workspace.project_changed.connect(self._remove_sample_layers)
        for signal in (self.workspace.project_changed, self.workspace.frames_changed):
            signal.connect(self._mark_next_tab)
        self.workspace.training.state_changed.connect(self._training_changed)
        self.destroyed.connect(partial(_release, self.workspace, self._garbage_collection))
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.shut_down)

    def sizeHint(self) -> QSize:
        """Just wide enough for every tab, so that the canvas gets the rest."""
        return QSize(WIDTH, super().sizeHint().height())

    @property
    def all_tabs(self) -> tuple[Tab, ...]:
        """The tabs, from top to bottom."""
        return self.project, self.annotate, self.bank, self.train, self.review, self.export

    def shortcuts_dialog(self) -> ShortcutsDialog:
        """The list of commands and their keys."""
        return ShortcutsDialog(self, show_introductions=self.introductions.show_again)

    def show_shortcuts(self) -> None:
        """Opens the list of commands and their keys."""
        self.shortcuts_dialog().open()

    def go_to_tab(self, index: int) -> None:
        """Shows a tab and moves the keyboard focus to it."""
        self.tabs.setCurrentIndex(index)
        self._focus_tab()

    def switch_focus(self) -> None:
        """Moves the keyboard focus from the image to the tab, or back."""
        focused = QApplication.focusWidget()
        if focused is not None and self.isAncestorOf(focused):
            # The focus falls back to napari's main window, which passes keys on to the canvas.
            focused.clearFocus()
        else:
            self._focus_tab()

    def _focus_tab(self) -> None:
        self.tabs.tabBar().setFocus(Qt.FocusReason.TabFocusReason)

    def click(self, button: QPushButton) -> None:
        """Shows the tab of a button and clicks the button; a warning explains why a disabled button does nothing."""
        for tab in self.all_tabs:
            if tab.isAncestorOf(button):
                self.tabs.setCurrentWidget(tab)
                if not button.isEnabled():
                    name = button.text().strip("…")
                    self.workspace.notify(f"{name} is not possible now. {tab.advice()}", "warning")
        button.click()

    def _mark_next_tab(self) -> None:
        """Marks the first tab with unfinished work."""
        unfinished = next((tab for tab in self.all_tabs if not tab.finished()), None)
        for index, tab in enumerate(self.all_tabs):
            self.tabs.setTabText(index, f"● {tab.name}" if tab is unfinished else tab.name)

    def _use_settings(self, settings: list[str]) -> None:
        """Writes settings of pseudo-sequences into the Train tab; they replace the earlier ones."""
        self.train.settings.advanced.use("sequence", settings)
        used = ", ".join(settings) or "the default settings"
        self.workspace.notify(f"The next training uses {used}.")

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
        self._mark_next_tab()

    def _open_curves(self) -> None:
        if self._curves_dock is None:
            self._curves_dock = self._viewer.window.add_dock_widget(self.curves, name=CURVES_NAME, area="bottom")
        self._curves_dock.show()

    # -- opening ----------------------------------------------------------------------------------------------------

    def open_path(self, path: Path) -> None:
        """Opens a folder of images, a project, or a COCO file next to its images."""
        self.tabs.setCurrentWidget(self.project)
        self.project.open_path(path)

    def open_samples(self) -> None:
        """Opens a new project with sample totes."""
        if not self.workspace.ended:
            self.tabs.setCurrentWidget(self.project)
            self.project.open_samples()

    def _remove_sample_layers(self) -> None:
        """Removes the layers that File > Open Sample added, once its project is open."""
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

    # -- closing ----------------------------------------------------------------------------------------------------

    def hideEvent(self, event: QHideEvent) -> None:
        """Saves unsaved strokes, because a hidden window may be closed without another event."""
        if not self.workspace.ended:
            self.workspace.save_requested.emit()
        super().hideEvent(event)

    def shut_down(self) -> None:
        """Saves unsaved strokes, stops the training and closes the project."""
        if not self.workspace.ended:
            self.layers.close()
            self.shortcuts.close()
            _release(self.workspace, self._garbage_collection)


def _release(workspace: Workspace, garbage_collection: PausedGarbageCollection, _widget: object = None) -> None:
    workspace.end()
    garbage_collection.resume()
