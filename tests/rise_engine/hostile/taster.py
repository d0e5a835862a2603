"""Gives commands to the program, each in a process of its own with bounded memory and time.

Reads ``{"commands": [[...], ...], "report": FILE}`` a line; writes for each what became of it, as JSON, to the output.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from rise_engine import cli
from rise_engine.active_learning import ranking  # noqa: F401
from rise_engine.errors import RiseError
from rise_engine.formats import coco  # noqa: F401 - loaded once, not in each child
from rise_engine.model.build import build_segmenter
from rise_engine.model.weights.load import load_pretrained
from rise_engine.prediction.load import load_model

MEMORY = 2 << 30
CPU_SECONDS = 10


def run(arguments: list[str]) -> None:
    """One command; the two that read weights are functions, since the commands around them train or predict."""
    match arguments:
        case ["load-model", path]:
            load_model(Path(path), device="cpu")
        case ["load-pretrained", path]:
            load_pretrained(torch.nn.Linear(2, 2), Path(path))
        case _:
            cli.main(arguments)


def in_child(arguments: list[str], report: str) -> None:
    """Never returns."""
    handle = os.open(report, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    # What this process holds already is not the command's.
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    signal.alarm(120)
    code = 0
    try:
        run(arguments)
    except RiseError as error:
        print(f"rise: {error}", file=sys.stderr)
        code = 2
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    torch.set_num_threads(1)
    print(json.dumps({"ready": build_segmenter.__name__}), flush=True)
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        ends = []
        for arguments in order["commands"]:
            child = os.fork()
            if child == 0:
                in_child(arguments, order["report"])
            _, status, usage = os.wait4(child, 0)
            said = Path(order["report"]).read_text(errors="replace")
            code = os.waitstatus_to_exitcode(status)
            ends.append(
                {
                    "arguments": arguments,
                    "code": code,
                    "said": said[:1500] + said[-1500:],
                    "peak": usage.ru_maxrss / 1024,
                }
            )
        print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    main()
