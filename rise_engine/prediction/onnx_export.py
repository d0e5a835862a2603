"""Export a run as an ONNX file, and check the file on frames of the project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from rise_engine.errors import RiseError
from rise_engine.model.onnx import export_onnx
from rise_engine.model.padding import SIZE_MULTIPLE
from rise_engine.prediction.load import load_model
from rise_engine.prediction.postprocess import NMS_IOU
from rise_engine.prediction.preprocess import resize_for_network
from rise_engine.prediction.store import STORED_SCORE
from rise_engine.project.project import Project
from rise_engine.project.wording import number_of

CHECKED_FRAMES = 3
PREPROCESSING = "RGB, 0..1, the whole frame resized bilinearly with antialiasing to size, no padding"
DYNAMIC_PREPROCESSING = (
    "RGB, 0..1, the whole frame resized bilinearly with antialiasing, its shortest side to short_side unless its "
    "longest became more than long_side, then both sides to the nearest multiple of size_multiple, no padding"
)
LICENCE = "code: BSD-3-Clause; weights: under the terms of the weights and the images that they were trained from"


@dataclass(frozen=True, slots=True)
class OnnxReport:
    """A written file: ``size`` (H, W) of its input, and its largest difference from torch on ``frames`` frames."""

    path: Path
    run: int
    size: tuple[int, int]
    frames: int
    max_difference: float
    half: bool = False
    dynamic: bool = False

    @property
    def summary(self) -> str:
        """One phrase for a message, without a full stop."""
        kind = " in half precision" if self.half else ""
        size = f"{'any multiples of 32, such as ' if self.dynamic else ''}{self.size[0]}x{self.size[1]}"
        return (
            f"run {self.run} as ONNX{kind} for images of {size}, within {self.max_difference:.0e} of "
            f"torch on {number_of(self.frames, 'frame')} of the project"
        )


def export_run_to_onnx(
    project: Project,
    path: Path,
    *,
    run: int | None = None,
    size: tuple[int, int] | None = None,
    half: bool = False,
    dynamic: bool = False,
) -> OnnxReport:
    """Writes the network of a run (default: the run in use) to ``path``.

    ``half``: backbone and encoder in half precision. ``size`` (H, W) in multiples of 32; the default is the network
    size of the project's first readable frame. With ``dynamic`` the file also takes all other multiples of 32. Raises
    RiseError without a readable frame, and when the results of the file differ from torch.
    """
    record = project.runs.get(run)
    loaded = load_model(record.folder, device="cpu")
    frames = _readable_frames(project)
    if size is None:
        height, width = resize_for_network(frames[0], loaded.config.loader).images.shape[-2:]
        size = (height, width)
    if any(side < SIZE_MULTIPLE or side % SIZE_MULTIPLE for side in size):
        raise RiseError(f"A network for {size[0]}x{size[1]} cannot be exported: both sides must be multiples of 32.")
    report = export_onnx(
        loaded.model,  # type: ignore[arg-type]  # our networks are modules; the protocol does not state this
        path,
        size=size,
        class_names=loaded.class_names,
        metadata={
            "run": record.number,
            "preset": record.preset,
            "preprocessing": DYNAMIC_PREPROCESSING if dynamic else PREPROCESSING,
            "short_side": loaded.config.loader.predict_short_side,
            "long_side": loaded.config.loader.predict_long_side,
            "thresholds": {"score": STORED_SCORE, "box_nms_iou": NMS_IOU, "mask_logit": 0.0},
            "licence": LICENCE,
        },
        check_images=torch.cat([_resized(frame, size) for frame in frames]),
        half=half,
        dynamic=dynamic,
    )
    return OnnxReport(path, record.number, size, report.frames, report.max_difference, half, dynamic)


def _readable_frames(project: Project) -> list[NDArray[np.uint8]]:
    """The first ``CHECKED_FRAMES`` readable images; RiseError when there are none."""
    found: list[NDArray[np.uint8]] = []
    for frame in project.frames.all():
        try:
            found.append(project.image(frame.id))
        except RiseError:
            continue
        if len(found) == CHECKED_FRAMES:
            return found
    if not found:
        raise RiseError(
            f"There is no readable frame in {project.images} to check the export on: "
            "put the images back, or set their new folder with `rise relink`."
        )
    return found


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """``image`` as input of the ONNX file, float (1, 3, H, W) RGB 0..1; its sides are resized independently."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    return interpolate(pixels, size=size, mode="bilinear", antialias=True).float() / 255
