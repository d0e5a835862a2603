"""A labelled project as a simulated annotator: copies start without labels and are evaluated against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from rise_engine.config import RiseConfig
from rise_engine.evaluation.coco import AveragePrecision, evaluate, results_of_frames
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.formats.coco.results import OBJECT_CATEGORY
from rise_engine.prediction.load import LoadedModel, load_model
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.splits import TrainingSplit
from rise_engine.training.events import Failed, Finished
from rise_engine.training.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Person:
    """Knows the labels of ``truth``; the hold-out's frames test, all others may be asked for."""

    truth: Project

    @property
    def pool(self) -> list[str]:
        """Names of the frames that may be labelled."""
        frames = self.truth.frames.all(split=Split.TRAIN)
        return [frame.name for frame in frames if frame.state.is_annotated]

    @property
    def test(self) -> list[int]:
        """Ids of the frames that measure."""
        found = [frame.id for frame in self.truth.frames.all(split=Split.HOLDOUT)]
        if not found:
            raise SystemExit("mark frames as hold-out first: rise new ... --holdout-list FILE")
        return found

    def start(self, path: Path) -> Project:
        """A project of the same images without a label; test frames and those nobody labelled are skipped in it."""
        project = Project.create(path, self.truth.images)
        project.scan()
        pool = set(self.pool)
        for frame in project.frames.all():
            if frame.name not in pool:
                project.frames.set_state(frame.id, FrameState.SKIPPED)
        project.annotations.add_category("object")
        return project

    def label(self, project: Project, names: Sequence[str]) -> None:
        """Draws frames, as they are in ``truth``."""
        category = project.annotations.categories()[0].id
        for name in names:
            frame = project.frames.get(name).id
            known = self.truth.annotations.of_frame(self.truth.frames.get(name).id)
            if known:
                project.annotations.add(
                    frame, [_anew(instance, frame, category) for instance in known if not instance.crowd]
                )
            project.frames.set_state(frame, FrameState.LABELLED)

    def measure(self, loaded: LoadedModel) -> AveragePrecision:
        """Class-agnostic mask AP on the test frames."""
        results = results_of_frames(predict_frames(loaded, self.truth, self.test), [OBJECT_CATEGORY["id"]])
        return evaluate(ground_truth_of(self.truth, self.test), results, class_agnostic=True).mask


def _anew(instance: Instance, frame: int, category: int) -> Instance:
    return replace(instance, id=None, frame=frame, category=category, extra={})


def train(project: Project, config: RiseConfig, *, minutes: float | None = None) -> LoadedModel:
    """Trains on what is labelled, the rest unlabelled, and no hold-out; the model after the last step."""
    torch.manual_seed(config.schedule.seed)
    labelled = [frame.id for frame in project.frames.all(state=FrameState.LABELLED)]
    unlabelled = [frame.id for frame in project.frames.all(state=FrameState.UNLABELLED)] or labelled
    last = None
    for last in Trainer(project, config, TrainingSplit(labelled, unlabelled, []), minutes=minutes).run():
        if isinstance(last, Failed):
            raise SystemExit(f"the training failed: {last.message}")
    assert isinstance(last, Finished)
    return load_model(Path(last.folder))
