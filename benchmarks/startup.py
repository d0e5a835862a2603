"""Measures start-up times: `rise --help`, `import rise_napari`, and the widget in napari.

xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python benchmarks/startup.py [--repeats 5]

Each value is the best of several new processes: wall-clock seconds, and CPU seconds, which are also meaningful on a
busy machine. For comparison, it also measures a Python process that does nothing and a napari viewer without the
widget. The share of the widget is measured inside its process. Each row shows whether torch was loaded. Without a
display, the rows that need one are omitted.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass

PRINT_TORCH = "print('torch' in __import__('sys').modules)"
HELP = f"""
import sys
from rise_engine.cli import main
try:
    main(["--help"])
except SystemExit:
    {PRINT_TORCH}
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
CLOSE = f"\nviewer.close()\n{PRINT_TORCH}"


@dataclass(frozen=True)
class Duration:
    """Wall-clock seconds and CPU seconds."""

    wall: float
    processor: float

    def better(self, other: Duration | None) -> Duration:
        return self if other is None else Duration(min(self.wall, other.wall), min(self.processor, other.processor))


def measure(name: str, code: str, repeats: int) -> None:
    """Prints one row, and a second one if the program measures a part of itself."""
    best: Duration | None = None
    part: Duration | None = None
    torch = ""
    for _ in range(repeats):
        before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stderr}")
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = Duration(wall, used).better(best)
        for line in done.stdout.splitlines():
            if line.startswith("own "):
                _, own_wall, own_used = line.split()
                part = Duration(float(own_wall), float(own_used)).better(part)
        torch = "loads torch" if done.stdout.splitlines()[-1:] == ["True"] else ""
    assert best is not None
    for label, duration in ((name, best), ("  the widget alone", part)):
        if duration is not None:
            print(f"{label:34}{duration.wall:7.2f} s{duration.processor:8.2f} s CPU  {torch}".rstrip(), flush=True)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    measure("python, empty program", "pass", repeats)
    measure("rise --help", HELP, repeats)
    measure("import rise_napari", f"import rise_napari\n{PRINT_TORCH}", repeats)
    measure("import rise_napari.widget", f"import rise_napari.widget\n{PRINT_TORCH}", repeats)
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        print("There is no display. Run it with xvfb-run to measure the window.")
        return
    measure("napari, empty viewer", VIEWER + CLOSE, repeats)
    measure("napari with the widget", WIDGET + CLOSE, repeats)


if __name__ == "__main__":
    main()
