"""Whatever is in a file: a sentence or success, in bounded time and memory, and nothing touched outside the project.

A sample of the inputs; ``make fuzz`` tries all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rise_engine.config import RiseConfig
from rise_engine.formats.coco import import_coco
from rise_engine.project.project import Project
from rise_engine.project.records import Instance

HERE = Path(__file__).parent
CASES = int(os.environ.get("RISE_FUZZ_CASES", "60"))
SEED = int(os.environ.get("RISE_FUZZ_SEED", "7"))
MEGABYTES = 2048

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300 + 10 * CASES),
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's bounds on memory"),
]

TINY = ["weights=none", "model.hidden_dim=32", "model.encoder_layers=1", "model.decoder_layers=1"]


@pytest.fixture(scope="module")
def mutants() -> Any:
    sys.path.insert(0, str(HERE))
    try:
        import mutants  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(HERE))
    return mutants


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, mutants: Any) -> Path:
    """A sound project with everything in it, beside a folder that nobody may touch."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "totes").mkdir()
    (folder / "outside").mkdir()
    for name in ("totes/tote0.png", "totes/tote1.png", "totes/tote2.png", "outside/secret.png", "secret.png"):
        Image.fromarray(np.full((48, 64, 3), 90, dtype=np.uint8)).save(folder / name)
    (folder / "sound.json").write_text(json.dumps(mutants.dataset()))
    with Project.create(folder / "totes.rise", folder / "totes") as project:
        project.scan()
        import_coco(project, folder / "sound.json")
        run = project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none")
        config = RiseConfig.preset("laptop").with_settings(TINY).model_dump(mode="json")
        record = {"config": config, "labelled": ["tote0.png"], "holdout": [], "class_names": ["object"]}
        (run.folder / "config.json").write_text(json.dumps(record))
        (run.folder / "weights.safetensors").write_bytes((16).to_bytes(8, "little") + b"{}" + b" " * 14)
        (run.folder / "metrics.jsonl").write_text('{"event": "HoldoutScore", "step": 1, "ap": 3.5}\n')
        project.runs.finish(run.number, steps=1)
        box = [[10, 10, 30, 10, 30, 30]]
        project.predictions.store(run.number, {1: [Instance(None, 1, 1, box, score=0.5)]})
    return folder


@pytest.fixture(scope="module")
def taster() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(HERE / "taster.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait(timeout=60)
    process.stdout.close()


def _commands(kind: str, folder: Path, file: Path) -> list[list[str]]:
    project = str(folder / "totes.rise")
    out = str(folder / "totes.rise" / "out.json")
    look = [["status", project], ["check", project], ["export", "coco", project, out]]
    match kind:
        case "coco":
            made = str(folder / "totes.rise" / "made.rise")
            new = ["new", made, "--images", str(folder / "totes"), "--coco", str(file)]
            return [["import", project, str(file), "--on-conflict", "both"], *look, new]
        case "image":
            made = str(folder / "totes.rise" / "made.rise")
            return [["new", made, "--images", str(folder / "totes")], ["check", made], ["queue", made]]
        case "weights":
            return [["load-model", str(file)], ["load-pretrained", str(file)]]
        case "project":
            more = [["history", project], ["queue", project], ["runs", project], ["runs", project, "--delete", "1"]]
            return [*look, *more]
        case "config":
            return [["load-model", str(file.parent)], ["predict", project], ["runs", project]]
        case _:
            made = str(folder / "totes.rise" / "made.rise")
            return [["new", made, "--images", str(folder / "totes"), "--holdout-list", str(file)]]


def _surroundings(folder: Path) -> dict[str, str]:
    """What lies beside the project, with digests of the files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] != "totes.rise":
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else str(path.is_dir())
    return found


def _judged(end: dict[str, Any]) -> str | None:
    """What is wrong with how a command ended; None when nothing is."""
    said, code = end["said"], end["code"]
    if "Traceback" in said or code == 99:
        return "a traceback"
    if code < 0:
        return f"ended by signal {-code}"
    if end["peak"] > MEGABYTES:
        return f"took {end['peak']:.0f} MB"
    if code == 2 and "rise: " not in said and "Usage:" not in said:
        return "refused without a word"
    # `check` alone ends with 1, when it has told what is wrong.
    return None if code in (0, 2) or (code == 1 and end["arguments"][0] == "check") else f"ended with {code}"


def test_no_input_does_any_harm(sound: Path, taster: Any, mutants: Any, tmp_path: Path) -> None:
    wrong: list[str] = []
    ends_seen: Counter[tuple[str, int]] = Counter()
    first = int(os.environ.get("RISE_FUZZ_FIRST", "0"))
    for case in range(first, first + CASES):
        folder = tmp_path / f"case{case}"
        shutil.copytree(sound, folder, symlinks=True)
        file = mutants.make_case(folder, SEED, case)
        kind = mutants.kind_of(case)
        before = _surroundings(folder)
        report = str(tmp_path / "said.txt")
        taster.stdin.write(json.dumps({"commands": _commands(kind, folder, file), "report": report}) + "\n")
        taster.stdin.flush()
        for end in json.loads(taster.stdout.readline()):
            ends_seen[kind, end["code"]] += 1
            if (fault := _judged(end)) is not None:
                wrong.append(f"case {case} ({kind}) {' '.join(end['arguments'][:2])}: {fault}\n{end['said'][-700:]}")
                print(wrong[-1], flush=True)
        if _surroundings(folder) != before:
            wrong.append(f"case {case} ({kind}): changed something outside the project")
        shutil.rmtree(folder)
        if case % 100 == 99:
            print(f"{case + 1} inputs: {sorted(ends_seen.items())}", flush=True)
    print(f"{CASES} inputs: {sorted(ends_seen.items())}")
    assert not wrong, f"{len(wrong)} of them went wrong:\n" + "\n".join(wrong)
