"""Where a training starts from: starter weights, ImageNet, an earlier run, a file, or nothing."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError, WeightsError
from rise_engine.model import build_segmenter
from rise_engine.model.weights.coco import fetch_coco
from rise_engine.model.weights.load import LoadReport, load_pretrained
from rise_engine.project.project import Project
from rise_engine.resources import starter_path

OF_DEFORMABLE_DETR = ("starter", "coco")
"""Names of weights that fit this kind of network alone."""


def build_initial(project: Project | None, config: RiseConfig) -> tuple[nn.Module, str]:
    """The network with the weights that ``config.weights`` names, and a sentence saying what they are.

    Raises ``WeightsError`` when they cannot be had, naming what can.
    """
    name = config.weights
    if name == "none":
        return build_segmenter(config.model), "random weights, as asked for"
    if name == "imagenet":
        return _imagenet(config)
    if name in OF_DEFORMABLE_DETR and config.model.kind != "deformable_detr":
        raise WeightsError(
            f"weights {name!r} are those of a Deformable DETR and not of model.kind={config.model.kind}: "
            "use --weights imagenet, none, run:N or a file"
        )
    if name == "coco":
        return _coco(config)
    path = _file(project, name)
    if not path.is_file():
        raise WeightsError(f"{path} is gone: start from other weights, such as starter or none")
    model = build_segmenter(config.model)
    if model.backbone.is_in(path):
        model = build_segmenter(config.model, pretrained_backbone=path)
        return model, f"a backbone ({config.model.backbone}) of {path}, the rest new"
    report = load_pretrained(model, path)
    return model, f"weights of {name} ({path.name}){_what_is_new(report)}"


def _file(project: Project | None, name: str) -> Path:
    if name == "starter":
        path = starter_path()
        if path is None:
            raise WeightsError("this installation ships no starter weights: use --weights imagenet, a file, or none")
        return path
    if name == "last" or name.startswith("run:"):
        if project is None:
            raise WeightsError(f"weights {name!r} need a project with runs")
        number = None if name == "last" else _run_number(name)
        return project.runs.get(number).files.weights
    path = Path(name).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"weights {name!r} are no file; known names: starter, imagenet, coco, last, run:N, none, or a path"
        )
    return path


def _run_number(name: str) -> int:
    try:
        return int(name.removeprefix("run:"))
    except ValueError:
        raise WeightsError(f"weights {name!r}: write run:N with the number of a run, such as run:3") from None


def _what_is_new(report: LoadReport) -> str:
    return f"; new: {', '.join(report.fresh_heads)}" if report.fresh_heads else ""


def _coco(config: RiseConfig) -> tuple[nn.Module, str]:
    """COCO weights where they can be had; an ImageNet backbone is the next best start."""
    try:
        path, file = fetch_coco(config.model.backbone)
    except WeightsError as error:
        try:
            model, said = _imagenet(config)
        except WeightsError as further:
            raise WeightsError(f"{error}; {further}") from further
        return model, f"{said}; {error}"
    model = build_segmenter(config.model)
    report = load_pretrained(model, path)
    return model, f"COCO weights ({file.repository}, {file.name}){_what_is_new(report)}"


def _imagenet(config: RiseConfig) -> tuple[nn.Module, str]:
    try:
        model = build_segmenter(config.model, pretrained_backbone=True)
    except RiseError as error:
        raise WeightsError(
            f"ImageNet weights of {config.model.backbone} could not be fetched: go online once, give timm's file of "
            f"them to --weights, or accept random weights with --weights none ({error})"
        ) from error
    return model, f"an ImageNet backbone ({config.model.backbone}), the rest new"
