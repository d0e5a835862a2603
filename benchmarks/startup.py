"""How long a person waits: for `rise --help`, for `import rise_napari`, and for the widget to open in napari.

xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python benchmarks/startup.py [--repeats 5]

Each is the best of several fresh processes: seconds on the clock, and seconds of the processor, which mean something on
a busy machine too. For comparison there are a Python that does nothing and a napari viewer without the widget; the
widget's own share is timed inside of its process. Whether anything loaded torch is said beside it. Without a display
the rows that need one are left out.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass

SAY_TORCH = "print('torch' in __import__('sys').modules)"
HELP = f"""
import sys
from rise_engine.cli import main
try:
    main(["--help"])
except SystemExit:
    {SAY_TORCH}
"""
VIEWER = """
import time
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=False)
QApplication.processEvents()
"""
WIDGET = f"""{VIEWER}
wall, processor = time.perf_counter(), time.process_time()
viewer.window.add_plugin_dock_widget("rise-napari", "RISE: train from annotations")
QApplication.processEvents()
print("own", time.perf_counter() - wall, time.process_time() - processor)
"""
CLOSE = f"\nviewer.close()\n{SAY_TORCH}"


@dataclass(frozen=True)
class Took:
    """Seconds on the clock and of the processor."""

    wall: float
    processor: float

    def better(self, other: Took | None) -> Took:
        return self if other is None else Took(min(self.wall, other.wall), min(self.processor, other.processor))


def measure(name: str, code: str, repeats: int) -> None:
    """One row, and one more where the program times a part of itself."""
    best: Took | None = None
    part: Took | None = None
    torch = ""
    for _ in range(repeats):
        before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stderr}")
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = Took(wall, used).better(best)
        for line in done.stdout.splitlines():
            if line.startswith("own "):
                _, own_wall, own_used = line.split()
                part = Took(float(own_wall), float(own_used)).better(part)
        torch = "loads torch" if done.stdout.splitlines()[-1:] == ["True"] else ""
    assert best is not None
    for label, took in ((name, best), ("  of which the widget", part)):
        if took is not None:
            print(f"{label:34}{took.wall:7.2f} s{took.processor:8.2f} s of the processor  {torch}".rstrip(), flush=True)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    measure("python, nothing", "pass", repeats)
    measure("rise --help", HELP, repeats)
    measure("import rise_napari", f"import rise_napari\n{SAY_TORCH}", repeats)
    measure("import rise_napari.widget", f"import rise_napari.widget\n{SAY_TORCH}", repeats)
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        print("no display: run it under xvfb-run for the rows of the window")
        return
    measure("napari, an empty viewer", VIEWER + CLOSE, repeats)
    measure("napari with the widget", WIDGET + CLOSE, repeats)


if __name__ == "__main__":
    main()
