"""The exported network in onnxruntime against torch: time, largest difference, and mask AP on a project's hold-out.

python benchmarks/export.py [PROJECT] [--run R] [--dynamic] [--frames N] [--repeats 7]

Exports the run (the latest one) in full and in half precision, times torch and both files alternately on one frame with
one thread each, and evaluates all three on the same hold-out frames. The files are run by examples/segment_folder.py,
which is what a robot would run, and so is torch in their place; a last row has the frames as in `rise predict`: padded
instead of stretched, and resized by torch. Without PROJECT eight
totes are drawn and predicted with the starter weights.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from pycocotools import mask as rle_codec
from torch import Tensor
from torch.nn.functional import interpolate

from rise_engine.evaluation.coco import AveragePrecision, evaluate
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.formats.coco.results import OBJECT_CATEGORY, coco_results
from rise_engine.model.onnx import OUTPUTS, ExportedSegmenter
from rise_engine.prediction.default_model import default_model, default_run
from rise_engine.prediction.load import LoadedModel, load_model
from rise_engine.prediction.onnx_export import export_run_to_onnx
from rise_engine.prediction.predict import predict
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, PredictedInstance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.synthetic import write_sample_folder

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "segment_folder.py"
DRAWN = 8
MIN_SCORE = 0.001
Picture = NDArray[np.uint8]
See = Callable[[Picture], list[PredictedInstance]]


@dataclass(frozen=True)
class Way:
    """One way of running the network."""

    name: str
    see: See
    run: Callable[[], object] | None = None
    """The network alone on one frame; None where that is the same as in another row."""
    facts: str = ""


def load_example() -> Any:
    """The module of the example, which belongs to no package."""
    specification = importlib.util.spec_from_file_location("segment_folder", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["segment_folder"] = module
    specification.loader.exec_module(module)
    return module


def draw_project(folder: Path) -> Path:
    """Totes whose masks are known, all of them hold-out."""
    frames = write_sample_folder(folder / "totes", count=DRAWN, seed=3, size=(300, 400))
    with Project.create(folder / "totes.rise", folder / "totes") as project:
        project.scan()
        category = project.annotations.add_category("object").id
        for record, frame in zip(project.frames.all(), frames, strict=True):
            masks = [from_mask(mask) for mask in frame.masks]
            project.annotations.add(record.id, [Instance(None, record.id, category, mask) for mask in masks])
            project.frames.set_state(record.id, FrameState.LABELLED)
        project.frames.set_split([record.id for record in project.frames.all()], Split.HOLDOUT)
        default_run(project)
    return folder / "totes.rise"


def seen_by(model: Any) -> See:
    """What the example's ``Model`` sees, as predictions."""

    def see(picture: Picture) -> list[PredictedInstance]:
        size = (picture.shape[0], picture.shape[1])
        found = [(one, rle_codec.frPyObjects(one.rle(size), *size)) for one in model(picture)]
        return [PredictedInstance(rle=rle, box=one.box, label=0, score=one.score) for one, rle in found]

    return see


def way_of_file(name: str, path: Path, example: Any, frame: Picture, facts: str) -> Way:
    """An exported file as the example runs it."""
    model = example.Model(path, score=MIN_SCORE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = stretched(frame, model.input_size(*frame.shape[:2])).numpy()
    facts = f"{facts}  {path.stat().st_size / 2**20:.1f} MiB"
    return Way(name, seen_by(model), lambda: session.run(list(OUTPUTS), {"images": images}), facts)


class TorchSession:
    """The network in torch, behind the one call that the example makes of onnxruntime."""

    def __init__(self, network: ExportedSegmenter) -> None:
        self._network = network

    def run(self, names: Sequence[str], feeds: dict[str, NDArray[np.float32]]) -> list[NDArray[Any]]:
        outputs = dict(zip(OUTPUTS, self._network(torch.from_numpy(feeds["images"])), strict=True))
        return [outputs[name].numpy() for name in names]


def way_of_torch(loaded: LoadedModel, path: Path, example: Any, frame: Picture) -> Way:
    """The network in torch in the place of an exported file, so that the runtime is all that differs."""
    network = ExportedSegmenter(loaded.model).eval()  # type: ignore[arg-type]  # our networks are modules
    model = example.Model(path, score=MIN_SCORE)
    model.session = TorchSession(network)
    images = stretched(frame, model.input_size(*frame.shape[:2]))
    return Way("torch, the same input", seen_by(model), lambda: network(images))


def stretched(picture: Picture, size: tuple[int, int]) -> Tensor:
    """``picture`` as an exported file takes it, (1, 3, H, W)."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    return interpolate(pixels, size=size, mode="bilinear", antialias=True).float() / 255


def time_in_turns(ways: Sequence[Way], repeats: int) -> dict[str, tuple[float, float]]:
    """Median milliseconds of each way's network, on the clock and of the processor; the ways take turns."""
    taken: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways if way.run is not None}
    for turn in range(repeats + 1):
        for way in ways:
            if way.run is None:
                continue
            wall, used = time.perf_counter(), time.process_time()
            way.run()
            if turn:  # the first one sets things up
                taken[way.name].append((time.perf_counter() - wall, time.process_time() - used))
    return {
        name: (1e3 * statistics.median(wall for wall, _ in both), 1e3 * statistics.median(used for _, used in both))
        for name, both in taken.items()
    }


def precision(project: Project, frames: Sequence[int], see: See) -> AveragePrecision:
    """Class-agnostic mask AP."""
    results: list[dict[str, Any]] = []
    for frame in frames:
        results += coco_results(frame, see(project.image(frame)), [OBJECT_CATEGORY["id"]])
    return evaluate(ground_truth_of(project, frames), results, class_agnostic=True).mask


@torch.no_grad()
def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", nargs="?", type=Path)
    parser.add_argument("--run", type=int)
    parser.add_argument("--dynamic", action="store_true", help="export files of any height and width")
    parser.add_argument("--frames", type=int, help="at most so many of the hold-out")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    example = load_example()
    with TemporaryDirectory() as scratch:
        path = options.project or draw_project(Path(scratch))
        with Project.open(path, read_only=True) as project:
            frames = [frame.id for frame in project.frames.all(split=Split.HOLDOUT)][: options.frames]
            if not frames:
                sys.exit("mark frames as hold-out first: rise new ... --holdout-list FILE")
            loaded = load_model(default_model(project, options.run), device="cpu")
            frame = project.image(frames[0])
            ways = []
            for name, half in (("onnxruntime", False), ("onnxruntime, --half", True)):
                file = Path(scratch) / f"{'half' if half else 'full'}.onnx"
                report = export_run_to_onnx(project, file, run=options.run, half=half, dynamic=options.dynamic)
                facts = f"largest difference {report.max_difference:.0e}"
                ways.append(way_of_file(name, file, example, frame, facts))
            resized = example.Model(file).input_size
            ways.insert(0, way_of_torch(loaded, file, example, frame))
            ways.append(Way("torch, as rise predict", lambda picture: predict(loaded, picture, min_score=MIN_SCORE)))
            taken = time_in_turns(ways, options.repeats)
            print(f"{len(frames)} frames, one of them timed as {' x '.join(map(str, resized(*frame.shape[:2])))}")
            for way in ways:
                scores = precision(project, frames, way.see)
                wall, used = taken.get(way.name, (None, None))
                timed = "" if wall is None else f"{wall:7.0f} ms{used:7.0f} ms of the processor"
                print(
                    f"{way.name:24}{timed:37}  mask AP {scores.ap:5.2f}  AP50 {scores.ap50:5.2f}  {way.facts}".rstrip()
                )


if __name__ == "__main__":
    main()
