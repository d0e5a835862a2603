"""Export a network as an ONNX file, and check that the file computes the same as torch."""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops import box_convert

from rise_engine.atomic import atomic_path
from rise_engine.errors import RiseError
from rise_engine.model.backbone.same_padding import make_same_padding_static
from rise_engine.model.deformable_detr.attention import DeformableAttention
from rise_engine.model.padding import SIZE_MULTIPLE
from rise_engine.model.segmenter import SegmenterOutput

OUTPUTS = ("scores", "labels", "boxes", "mask_logits")
TOP = 100
OPSET = 18
TOLERANCE = 1e-4
HALF_TOLERANCE = 3e-2
"""Half precision has three digits, and the worst of a few hundred rows of a trained network loses one of them."""
SMALLEST_TRACED = 96
HALF_PARTS = ("model.backbone", "model.input_proj", "model.encoder")
HALF_OPERATIONS = {"Conv", "MatMul", "Gemm", "Relu", "Clip"}


@dataclass(frozen=True)
class ExportReport:
    """A written and checked ONNX file."""

    path: Path
    size: tuple[int, int]
    """Height and width of its input; with ``dynamic``, the intended ones of all multiples of 32."""
    frames: int
    """Number of images that it was checked on."""
    max_difference: float
    """The largest difference from torch, as ``check_export`` measures it."""
    dynamic: bool = False


class ExportedSegmenter(nn.Module):
    """Images to the best ``top`` pairs of query and class, or all pairs if there are fewer."""

    def __init__(self, model: nn.Module, *, top: int = TOP) -> None:
        super().__init__()
        self.model = model
        self.top = top

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The outputs for ``images`` (N, 3, H, W) RGB 0..1, the highest score first.

        Scores (N, K), labels (N, K), boxes (N, K, 4) xyxy in pixels, mask logits (N, K, H / 4, W / 4).
        """
        output: SegmenterOutput = self.model(images)
        _, queries, classes = output.class_logits.shape
        flat = output.class_logits.float().sigmoid().flatten(1)
        scores, pairs = flat.topk(min(self.top, queries * classes), dim=1)
        picked = pairs // classes
        boxes = _pixel_boxes(output.boxes, images).gather(1, picked[..., None].expand(-1, -1, 4))
        return scores, pairs % classes, boxes, output.picked_masks(picked)


def export_onnx(
    model: nn.Module,
    path: Path,
    *,
    size: tuple[int, int],
    class_names: Sequence[str],
    metadata: Mapping[str, Any],
    check_images: Tensor,
    half: bool = False,
    dynamic: bool = False,
) -> ExportReport:
    """Write ``model`` for images of ``size`` (height, width) and batches of any length; ``model`` does not change.

    With ``dynamic`` the file takes images of any height and width that are multiples of 32, without padding; ``size``
    is the intended one and is written into the metadata, and the file is also checked at two other sizes.

    The file is compared with torch on ``check_images`` (n, 3, height, width) RGB 0..1 before it gets its name.
    ``metadata`` and the class names are stored in the file, each as JSON. With ``half``, backbone and encoder compute
    in half precision and need half the bytes. Inputs, outputs, sampling locations, the decoder with its boxes and the
    masks stay in full precision, because half precision cannot represent their pixel positions; the tolerance is
    3e-2. Raises ``RiseError``, and keeps the old file at ``path``, when the ONNX extra is not installed, the export
    fails, or the results differ.
    """
    path = Path(path)
    if check_images.shape[1:] != (3, *size) or not len(check_images):
        raise RiseError(
            f"The export is checked on frames of {size[0]}x{size[1]}, but got {tuple(check_images.shape)}: "
            "give at least one frame of the size of the export."
        )
    exported = copy.deepcopy(model).cpu().float().eval()
    for module in exported.modules():
        if isinstance(module, DeformableAttention):
            # Some runtimes compile GridSample inside attention wrongly; plain indexing works in all.
            module.form = "gather"
    if dynamic:
        make_same_padding_static(exported)
    described = {
        "class_names": list(class_names),
        "size": list(size),
        "dynamic_size": dynamic,
        "size_multiple": SIZE_MULTIPLE,
        "pixel_range": [0, 1],
        **metadata,
    }
    with atomic_path(path) as part:
        program = _trace(ExportedSegmenter(exported).eval(), size, dynamic=dynamic)
        program.model.metadata_props.update({key: json.dumps(value) for key, value in described.items()})
        if half:
            _save_half(program, part)
        else:
            program.save(part)
        difference = max(
            check_export(part, model, images, HALF_TOLERANCE if half else TOLERANCE)
            for images in ([check_images, *_at_other_sizes(check_images)] if dynamic else [check_images])
        )
    return ExportReport(path, size, len(check_images), difference, dynamic)


def _at_other_sizes(images: Tensor) -> list[Tensor]:
    """The images with a larger height, and with height and width exchanged."""
    height, width = images.shape[-2:]
    sizes = [(height + SIZE_MULTIPLE, width), (width + 2 * SIZE_MULTIPLE, height)]
    return [interpolate(images, size=size, mode="bilinear", antialias=True) for size in sizes]


@torch.no_grad()
def check_export(path: Path, model: nn.Module, images: Tensor, tolerance: float = TOLERANCE) -> float:
    """The largest difference between the ONNX file at ``path`` and ``model`` on ``images`` (n, 3, H, W).

    It is the largest of: the difference of any score; of any box side, as a share of the longer side of the image;
    of any mask's logits, averaged over the mask, relative to its largest logit, or absolute when that is below 1.
    (Rounding alone lets single pixels of a few masks differ by almost the tolerance.) Rows of equal score may be in
    another order. Raises ``RiseError`` above ``tolerance``, or when the file does not run.
    """
    reference = copy.deepcopy(model).cpu().float().eval()
    images = images.cpu().float()
    try:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except ImportError as error:
        raise RiseError("ONNX needs the extra packages: pip install 'rise-napari[onnx]'.") from error
    except Exception as error:  # the runtime's own exceptions share no public base
        raise RiseError(f"{path.name} does not load in onnxruntime ({error}): report this as a bug.") from error
    largest = 0.0
    # Batches of two frames, and the last frame alone: both batch lengths are tested.
    for batch in images.split(2) if len(images) > 1 else [images, images.repeat(2, 1, 1, 1)]:
        found = [torch.from_numpy(array) for array in session.run(list(OUTPUTS), {"images": batch.numpy()})]
        largest = max(largest, _difference(found, reference(batch), batch))
    if not largest <= tolerance:  # true for NaN as well
        raise RiseError(
            f"The exported model differs from torch by {largest:.1e}, which is more than {tolerance:.0e}: "
            "no file was written. Continue the training, or report this as a bug."
        )
    return largest


def _difference(found: Sequence[Tensor], output: SegmenterOutput, images: Tensor) -> float:
    scores, labels, boxes, masks = found
    expected_scores = output.class_logits.sigmoid()  # (N, Q, C)
    expected_boxes = _pixel_boxes(output.boxes, images)
    best = expected_scores.flatten(1).topk(scores.shape[1], dim=1).values
    # The query of a row: the one that is closest in the score of the row's class and in its box.
    by_label = expected_scores.gather(2, labels[:, None].expand(-1, expected_scores.shape[1], -1)).transpose(1, 2)
    score_gaps = (by_label - scores[..., None]).abs()  # (N, K, Q)
    box_gaps = (expected_boxes[:, None] - boxes[:, :, None]).abs().amax(-1) / max(images.shape[-2:])
    gaps, queries = torch.maximum(score_gaps, box_gaps).min(-1)
    expected_masks = output.picked_masks(queries)
    scale = expected_masks.abs().amax((-2, -1)).clamp(min=1.0)
    mask_gaps = (expected_masks - masks).abs().mean((-2, -1)) / scale
    return float(torch.stack([(best - scores).abs().amax(), gaps.amax(), mask_gaps.amax()]).amax())


def _pixel_boxes(boxes: Tensor, images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    sides = torch.tensor([width, height, width, height], device=boxes.device)
    return box_convert(boxes.float(), "cxcywh", "xyxy") * sides


def _trace(model: nn.Module, size: tuple[int, int], *, dynamic: bool) -> Any:
    # Two images: the exporter would make a batch of one a constant.
    example = torch.zeros(2, 3, *size)
    free: dict[int, Any] = {0: torch.export.Dim("batch")}
    if dynamic:
        # The exporter would make a map of a single row or column a constant, too.
        example = torch.zeros(2, 3, *(max(side, SMALLEST_TRACED) for side in size))
        free |= {2: SIZE_MULTIPLE * torch.export.Dim("rows"), 3: SIZE_MULTIPLE * torch.export.Dim("columns")}
    try:
        with _quiet():
            return torch.onnx.export(
                model,
                (example,),
                input_names=["images"],
                output_names=list(OUTPUTS),
                dynamic_shapes={"images": free},
                opset_version=OPSET,
                dynamo=True,
            )
    except ImportError as error:
        raise RiseError("ONNX needs the extra packages: pip install 'rise-napari[onnx]'.") from error
    except Exception as error:  # the exporter's exceptions share no public base
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RiseError(f"The network could not be exported ({reason}): report this as a bug.") from error


def _save_half(program: Any, path: Path) -> None:
    """Saves the traced network with backbone and encoder in half precision."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    network = program.model_proto
    nodes = network.graph.node
    kept = [node.name for node in nodes if not _may_be_half(node)]
    operations = {node.op_type for node in nodes} - HALF_OPERATIONS
    with _quiet():
        halved = convert_float_to_float16(
            network, keep_io_types=True, op_block_list=sorted(operations), node_block_list=kept
        )
    onnx.save(halved, path)


def _may_be_half(node: Any) -> bool:
    """Whether a node is in a part for half precision; the sampling inside attention is not."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"), "[]")
    modules = [name for name in ast.literal_eval(scopes)[:-1] if name]
    return bool(modules) and modules[-1].startswith(HALF_PARTS) and not modules[-1].endswith(".attn")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter's progress and internal warnings; errors still raise."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
