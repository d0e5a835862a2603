"""Segments the objects in every image of a folder, or of a camera, with a model exported by `rise export onnx`.

python segment_folder.py MODEL.onnx FOLDER OUT
python segment_folder.py MODEL.onnx camera:0 OUT --limit 100

It needs numpy, onnxruntime and Pillow, and for a camera OpenCV (`pip install opencv-python-headless`). It needs nothing
of the project that trained the model. It writes one line per frame to `OUT/instances.jsonl`, and one label image per
frame to `OUT/masks/`, a 16-bit PNG: 0 is background, k is instance k of the line, and better instances are on top.

In your own program: `instances = Model(Path("model.onnx"))(rgb)`, where rgb is uint8 (H, W, 3).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
OUTPUTS = ["scores", "labels", "boxes", "mask_logits"]
NEEDED = {"class_names", "size", "thresholds"}
"""The required metadata of a model."""
CAMERA = "camera:"


class RefusalError(Exception):
    """The request cannot be fulfilled; the message is for the user."""


@dataclass(frozen=True)
class Instance:
    """One object: its box is left, top, right, bottom in pixels of the image, half-open."""

    category: str
    score: float
    box: tuple[int, int, int, int]
    mask: NDArray[np.bool_]
    """(bottom - top, right - left), True on the object."""

    def rle(self, size: tuple[int, int]) -> dict[str, Any]:
        """The mask on an image of ``size`` (H, W) as COCO's run lengths, column by column, background first."""
        left, top, right, bottom = self.box
        columns = np.zeros((right - left, size[0]), bool)
        columns[:, top:bottom] = self.mask.T
        flat = columns.ravel()
        changes = left * size[0] + np.flatnonzero(np.diff(flat, prepend=False, append=False))
        ends = [*changes.tolist(), size[0] * size[1]]
        counts = np.diff([0, *(ends[:-1] if ends[-2] == ends[-1] else ends)])
        return {"size": list(size), "counts": counts.tolist()}


class Model:
    """An exported model, loaded from its file."""

    def __init__(self, path: Path, *, score: float | None = None) -> None:
        """``score``: the lowest score of an instance; None uses the threshold in the file. Raises RefusalError."""
        if not path.is_file():
            raise RefusalError(f"There is no model {path}. Export one with `rise export onnx PROJECT {path.name}`.")
        known = onnxruntime.get_available_providers()
        usable = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in known]
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=usable)
            stored = self.session.get_modelmeta().custom_metadata_map
            self.metadata = {key: json.loads(text) for key, text in stored.items()}
        except Exception as error:  # the runtime's own exceptions share no public base
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise RefusalError(
                f"{path} was not written by `rise export onnx` ({reason}). Export the model again."
            ) from error
        names = {output.name for output in self.session.get_outputs()}
        missing = sorted(NEEDED - self.metadata.keys()) + [name for name in OUTPUTS if name not in names]
        if missing:
            raise RefusalError(
                f"{path} was not written by `rise export onnx`: {', '.join(missing)} missing. Export the model again."
            )
        self.class_names: list[str] = self.metadata["class_names"]
        self.score: float = self.metadata["thresholds"]["score"] if score is None else score
        self.overlap: float = self.metadata["thresholds"].get("box_nms_iou", 0.7)

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the model's input for an image of the given height and width."""
        if not self.metadata.get("dynamic_size"):
            high, wide = self.metadata["size"]
            return high, wide
        multiple = self.metadata["size_multiple"]
        shrink = min(self.metadata["short_side"] / min(height, width), self.metadata["long_side"] / max(height, width))
        high, wide = (max(1, round(side * shrink / multiple)) * multiple for side in (height, width))
        return high, wide

    def __call__(self, image: NDArray[np.uint8]) -> list[Instance]:
        """The instances in an image, uint8 (H, W, 3) RGB, best first."""
        height, width = image.shape[:2]
        high, wide = self.input_size(height, width)
        small = np.asarray(Image.fromarray(image).resize((wide, high), Image.Resampling.BILINEAR), np.float32)
        low, top = self.metadata.get("pixel_range", (0, 1))
        images = (small.transpose(2, 0, 1)[None] * ((top - low) / 255) + low).astype(np.float32)
        scores, labels, boxes, logits = (output[0] for output in self.session.run(OUTPUTS, {"images": images}))
        found = []
        for row in best_of_each_place(scores, labels, boxes, score=self.score, overlap=self.overlap):
            region = enlarged(logits[row], (height, width))
            if region is not None:
                box, mask = region
                found.append(Instance(self.class_names[labels[row]], float(scores[row]), box, mask))
        return found


def best_of_each_place(
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    boxes: NDArray[np.float32],
    *,
    score: float,
    overlap: float,
) -> list[int]:
    """Rows with at least ``score``, best first, without those that a better box of the same class overlaps (NMS).

    Boxes (K, 4) are left, top, right, bottom; ``overlap`` is intersection over union.
    """
    kept: list[int] = []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for row in np.argsort(-scores, kind="stable"):
        if scores[row] < score:
            break
        rivals = [other for other in kept if labels[other] == labels[row]]
        corner = np.maximum(boxes[rivals, :2], boxes[row, :2])
        shared = np.clip(np.minimum(boxes[rivals, 2:], boxes[row, 2:]) - corner, 0, None).prod(axis=1)
        if not (shared > overlap * (areas[rivals] + areas[row] - shared)).any():
            kept.append(int(row))
    return kept


def enlarged(
    logits: NDArray[np.float32], size: tuple[int, int]
) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]] | None:
    """Box and mask where ``logits`` (h, w), resized to an image of ``size`` (H, W), are above 0; None if nowhere.

    Bilinear, with half-pixel centres. Only pixels that a positive logit can reach are computed.
    """
    rows, columns = (np.flatnonzero((logits > 0).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    top, upper, lower, down = _neighbours(rows[0], rows[-1], logits.shape[0], size[0])
    left, before, after, along = _neighbours(columns[0], columns[-1], logits.shape[1], size[1])
    lines = logits[upper] * (1 - down[:, None]) + logits[lower] * down[:, None]
    mask = lines[:, before] * (1 - along) + lines[:, after] * along > 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    left, top = left + int(columns[0]), top + int(rows[0])
    return (left, top, left + mask.shape[1], top + mask.shape[0]), mask


def _neighbours(
    first: int, last: int, cells: int, length: int
) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The first pixel that cells ``first`` to ``last`` reach, and for each reached pixel its two cells and the weight
    of the second one."""
    place = np.clip((np.arange(length) + 0.5) * (cells / length) - 0.5, 0, cells - 1)
    reached = np.flatnonzero((place > first - 1) & (place < last + 1))
    place = place[reached]
    lower = np.floor(place).astype(np.int64)
    return int(reached[0]), lower, np.minimum(lower + 1, cells - 1), (place - lower).astype(np.float32)


def label_image(instances: Sequence[Instance], size: tuple[int, int]) -> NDArray[np.uint16]:
    """(H, W), k on instance k, counted from 1; better instances are on top."""
    labels = np.zeros(size, np.uint16)
    for number, instance in reversed(list(enumerate(instances, start=1))):
        left, top, right, bottom = instance.box
        labels[top:bottom, left:right][instance.mask] = number
    return labels


def read(path: Path) -> NDArray[np.uint8]:
    """An image, uint8 (H, W, 3) RGB, with its EXIF orientation applied. Raises RefusalError."""
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16 bits; Pillow would clip them
                image = Image.fromarray((np.asarray(image, np.int64) >> 8).clip(0, 255).astype(np.uint8))
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RefusalError(f"{path} cannot be read ({error}).") from error


def folder_frames(folder: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and images of a folder and its subfolders; unreadable images are reported and skipped."""
    if not folder.is_dir():
        raise RefusalError(f"There is no folder {folder}. Give a folder with images, or {CAMERA}0.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not paths:
        raise RefusalError(f"{folder} has no images. Their names end in {', '.join(sorted(ENDINGS))}.")
    for path in paths:
        try:
            yield path.relative_to(folder).as_posix(), read(path)
        except RefusalError as refusal:
            print(f"Skipped: {refusal}", file=sys.stderr)


def camera_frames(number: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and images of a camera, until it returns no more."""
    try:
        import cv2
    except ImportError as error:
        raise RefusalError("A camera needs OpenCV: pip install opencv-python-headless.") from error
    camera = cv2.VideoCapture(int(number) if number.isdigit() else number)
    if not camera.isOpened():
        raise RefusalError(
            f"There is no camera {number}. {CAMERA}0 is the first one; a device or an address works too."
        )
    try:
        count = 0
        while (grabbed := camera.read())[0]:
            count += 1
            yield f"frame_{count:06}", np.ascontiguousarray(grabbed[1][:, :, ::-1])
    finally:
        camera.release()


def write(out: Path, name: str, size: tuple[int, int], instances: Sequence[Instance], seconds: float) -> str:
    """Saves a frame's label image and returns its line."""
    mask = Path("masks") / f"{name}.png"
    (out / mask).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label_image(instances, size)).save(out / mask)
    record = {
        "frame": name,
        "height": size[0],
        "width": size[1],
        "mask": mask.as_posix(),
        "seconds": round(seconds, 4),
        "instances": [
            {
                "label": number,
                "category": instance.category,
                "score": round(instance.score, 4),
                "box": list(instance.box),
                "rle": instance.rle(size),
            }
            for number, instance in enumerate(instances, start=1)
        ],
    }
    return json.dumps(record)


def segment(model: Model, source: str, out: Path, *, limit: int | None) -> int:
    """Writes the masks of all frames of a folder or camera, and returns the number of frames."""
    camera = source.startswith(CAMERA)
    frames = camera_frames(source.removeprefix(CAMERA)) if camera else folder_frames(Path(source))
    done = 0
    lines = None
    try:
        for name, image in frames:
            start = time.perf_counter()
            instances = model(image)
            seconds = time.perf_counter() - start
            if lines is None:
                out.mkdir(parents=True, exist_ok=True)
                lines = (out / "instances.jsonl").open("w", encoding="utf-8")
            height, width = image.shape[:2]
            print(write(out, name, (height, width), instances, seconds), file=lines, flush=True)
            done += 1
            if done == limit:
                break
    finally:
        if lines is not None:
            lines.close()
    return done


def main() -> None:
    """Reads the arguments and segments; exit status 0 on success, 2 with a message on bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("source", metavar="FOLDER", help=f"A folder of images, or {CAMERA}0 for the first camera.")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument(
        "--score", type=float, help="The lowest score of an instance. By default the threshold in the model."
    )
    parser.add_argument("--limit", type=int, help="Stop after this number of frames.")
    options = parser.parse_args()
    try:
        done = segment(Model(options.model, score=options.score), options.source, options.out, limit=options.limit)
    except RefusalError as refusal:
        sys.exit(_refused(str(refusal)))
    except OSError as error:
        sys.exit(_refused(f"{error.filename or options.out} cannot be written ({error.strerror or error})."))
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"{done} frame{'s' if done != 1 else ''}: {options.out / 'instances.jsonl'}")


def _refused(sentence: str) -> int:
    print(f"{Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
