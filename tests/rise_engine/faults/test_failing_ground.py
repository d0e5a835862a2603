"""The disk fills, the clock goes back, photos vanish or change, the disk is a slow network's: sentences, no losses."""

from __future__ import annotations

import datetime
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.errors import RiseError
from rise_engine.formats.coco import export_coco, import_coco, to_coco
from rise_engine.project.database import journal, store
from rise_engine.project.maintenance.check import check_frame
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask

FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np
from rise_engine.errors import RiseError
from rise_engine.formats.coco import export_coco, import_coco
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask

path, limit = Path(sys.argv[1]), int(sys.argv[2])
said = []
with Project.open(path, exclusive=True) as project:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    rng = np.random.default_rng(0)
    saved = []
    try:
        for _ in range(5000):
            saved += project.annotations.add(1, [Instance(None, 1, 1, from_mask(rng.random((60, 80)) < 0.5))])
    except RiseError as error:
        said.append(str(error))
    for work in (lambda: import_coco(project, path.parent / "many.json", on_conflict="both"),
                 lambda: export_coco(project, path.parent / "out.json")):
        try:
            work()
        except RiseError as error:
            said.append(str(error))
        # The exported file is smaller than what the edits took.
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
print(json.dumps([saved, said]))
"""


SMALL_DISK = """
import json, os, sys
from pathlib import Path
import numpy as np
from PIL import Image
from rise_engine.errors import RiseError
from rise_engine.formats.coco import export_coco, import_coco
from rise_engine.project.project import Project
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask

disk, many = Path(sys.argv[1]), Path(sys.argv[2])
images = disk / "totes"
images.mkdir()
for number in range(3):
    Image.new("RGB", (80, 60)).save(images / f"tote{number}.png")
rng = np.random.default_rng(0)
saved = []

def strokes(project):
    for _ in range(100):
        saved.extend(project.annotations.add(1, [Instance(None, 1, 1, from_mask(rng.random((60, 80)) < 0.5))]))

said = {}

def attempt(name, work):
    try:
        work()
        said[name] = "done"
    except RiseError as error:
        said[name] = str(error)

with Project.create(disk / "totes.rise", images) as project:
    project.scan()
    project.annotations.add_category("object")
    strokes(project)
    before = len(saved)
    attempt("import", lambda: import_coco(project, many))
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass
    for _ in range(10):
        # What was set aside for the log may still hold a few.
        attempt("stroke", lambda: strokes(project))
    attempt("undo", project.journal.undo)
    attempt("export", lambda: export_coco(project, disk / "out.json"))
    attempt("run", lambda: project.runs.start(preset="laptop", recipe="paper", steps=1, base="none"))
attempt("new", lambda: Project.create(disk / "other.rise", images))
with Project.open(disk / "totes.rise", exclusive=True) as project:
    seen = [one.id for one in project.annotations.of_frame(1)]
    imported = len(project.annotations.of_frame(2))
(disk / "filler").unlink()
with Project.open(disk / "totes.rise", exclusive=True) as project:
    assert [one.id for one in project.annotations.of_frame(1)] == seen == saved
    whole = project.store.read("PRAGMA integrity_check")[0][0]
    attempt("undo again", project.journal.undo)
    saved.pop()
    attempt("stroke again", lambda: strokes(project))
    assert [one.id for one in project.annotations.of_frame(1)] == saved, said
attempt("new again", lambda: Project.create(disk / "other.rise", images).close())
print(json.dumps([said, imported, whole]))
"""


@pytest.fixture
def project_path(tmp_path: Path) -> Path:
    """Three small pictures and a category."""
    folder = tmp_path / "totes"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((60, 80, 3), 70 * number, dtype=np.uint8)).save(folder / f"tote{number}.png")
    with Project.create(tmp_path / "totes.rise", folder) as project:
        project.scan()
        project.annotations.add_category("object")
        return project.path


def _square(frame: int) -> Instance:
    mask = np.zeros((60, 80), dtype=bool)
    mask[5:15, 5:15] = True
    return Instance(None, frame, 1, from_mask(mask))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a bound on the size of files")
def test_a_full_disk_costs_the_edit_in_hand_and_no_other(project_path: Path, tmp_path: Path) -> None:
    square = [[5, 5, 30, 5, 30, 30, 5, 30]]
    dataset = {
        "images": [{"id": 1, "file_name": "tote1.png", "width": 80, "height": 60}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 1, "segmentation": square} for n in range(20_000)],
    }
    (tmp_path / "many.json").write_text(json.dumps(dataset))
    (tmp_path / "out.json").write_text("the old one")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(project_path), "400000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    saved, said = json.loads(done.stdout)
    assert len(said) == 3, said
    assert saved
    with Project.open(project_path, exclusive=True) as project:
        assert project.store.read("PRAGMA integrity_check")[0][0] == "ok"
        assert [one.id for one in project.annotations.of_frame(1)] == saved
        assert project.annotations.of_frame(2) == []
        project.annotations.add(1, [_square(1)])
    assert (tmp_path / "out.json").read_text() == "the old one"
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".out.json")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a disk of its own in memory")
def test_a_disk_that_is_truly_full_says_so_and_goes_on_with_room(tmp_path: Path) -> None:
    disk, many = tmp_path / "disk", tmp_path / "many.json"
    disk.mkdir()
    there = [(n // 2 + 10.0, n // 70 + 9.0) for n in range(100)]
    back = [(n // 2 + 10.0, 50.0) for n in reversed(range(100))]
    outline = [[side for corner in (*there, *back) for side in corner]]
    dataset = {
        "images": [{"id": 1, "file_name": "tote1.png", "width": 80, "height": 60}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 1, "segmentation": outline} for n in range(12_000)],
    }
    many.write_text(json.dumps(dataset))
    script = 'mount -t tmpfs -o size=16m tmpfs "$1" && shift && exec "$@"'
    mounted = ["unshare", "-rm", "sh", "-c", script, "sh", str(disk)]
    tried = subprocess.run([*mounted, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    if tried is None or tried.returncode:
        pytest.skip("this system lets nobody mount a disk in memory")
    done = subprocess.run(
        [*mounted, sys.executable, "-c", SMALL_DISK, str(disk), str(many)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said, imported, whole = json.loads(done.stdout)
    assert (imported, whole) == (0, "ok")
    assert "needs about 33 MB of disk" in said.pop("import")
    full = [said.pop(name) for name in ("stroke", "undo", "run", "new")]
    assert all(words.startswith("The disk is full") and "make room" in words for words in full), full
    assert "No space left on device" in said.pop("export")
    assert said == {"undo again": "done", "stroke again": "done", "new again": "done"}


def test_a_clock_that_goes_back_changes_no_order(project_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime.datetime):
        day = 30

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            cls.day -= 1
            return datetime.datetime(2020, 1, cls.day, tzinfo=tz)

    monkeypatch.setattr(journal, "datetime", Clock)
    with Project.open(project_path) as project:
        first = project.annotations.add(1, [_square(1)])[0]
        second = project.annotations.add(2, [_square(2)])[0]
        third = project.annotations.add(3, [_square(3)])[0]
        assert first < second < third
        latest = project.journal.history(3)
        assert [entry.frame for entry in latest] == ["tote2.png", "tote1.png", "tote0.png"]
        assert latest[0].when < latest[1].when
        assert str(project.journal.undo()) == "drew 1 instance in tote2.png"
        assert str(project.journal.undo()) == "drew 1 instance in tote1.png"
        assert str(project.journal.redo()) == "drew 1 instance in tote1.png"
        assert [len(project.annotations.of_frame(frame)) for frame in (1, 2, 3)] == [1, 1, 0]


def test_a_photo_that_changed_its_size_is_told_and_its_masks_are_kept(project_path: Path) -> None:
    with Project.open(project_path) as project:
        project.probe_many([1, 2, 3])
        project.annotations.add(1, [_square(1)])
        before = project.annotations.of_frame(1)
        Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(project.images / "tote0.png")
        assert project.image(1).shape == (30, 40, 3)
        with pytest.raises(RiseError, match=r"tote0\.png: A mask was made for an image of height and width \[60, 80\]"):
            project.labelled_frame(1)
        assert any("it was 80 x 60" in words for words in check_frame(project, project.frames.get(1)))
        assert project.annotations.of_frame(1) == before
        exported = to_coco(project)
        assert (exported["images"][0]["width"], exported["images"][0]["height"]) == (80, 60)
        assert exported["annotations"][0]["area"] == 100


def test_a_photo_that_is_gone_is_told_and_its_masks_still_leave(project_path: Path, tmp_path: Path) -> None:
    with Project.open(project_path) as project:
        project.probe_many([1])
        project.annotations.add(1, [_square(1)])
        (project.images / "tote0.png").unlink()
        for look in (project.image, project.labelled_frame, project.unlabelled_frame):
            with pytest.raises(RiseError, match=r"tote0\.png is missing"):
                look(1)
        assert project.scan().missing == 1
        assert export_coco(project, tmp_path / "out.json").instances == 1
        # Put back, everything is as it was.
        Image.fromarray(np.zeros((60, 80, 3), dtype=np.uint8)).save(project.images / "tote0.png")
        assert project.labelled_frame(1).masks.sum() == 100


class _NetworkDisk(sqlite3.Connection):
    """Write-ahead logs need shared memory, which network disks lack; and each commit takes its time."""

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:  # type: ignore[override]
        if sql == "PRAGMA journal_mode=WAL":
            raise sqlite3.OperationalError("locking protocol")
        if sql == "COMMIT":
            time.sleep(0.02)
        return super().execute(sql, *parameters)  # type: ignore[arg-type]


def test_on_a_network_disk_two_processes_work_at_once(project_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sqlite3.connect
    monkeypatch.setattr(store.sqlite3, "connect", lambda *a, **k: whole(*a, **k, factory=_NetworkDisk))
    with Project.open(project_path, exclusive=True) as window, Project.open(project_path) as command:
        assert window.store.read("PRAGMA journal_mode")[0][0] == "delete"
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(10):
                    command.annotations.add(2, [_square(2)])
                    command.annotations.of_frame(1)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(10):
            window.annotations.add(1, [_square(1)])
            window.annotations.of_frame(2)
        thread.join()
        assert failures == []
        assert (len(window.annotations.of_frame(1)), len(window.annotations.of_frame(2))) == (10, 10)
        assert window.store.read("PRAGMA integrity_check")[0][0] == "ok"


def test_a_refused_import_leaves_nothing(project_path: Path, tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"tote{n}.png", "width": 80, "height": 60} for n in range(3)]
    square = [[5, 5, 30, 5, 30, 30, 5, 30]]
    annotations = [{"id": n, "image_id": n % 3, "category_id": 8, "segmentation": square} for n in range(300)]
    annotations[-1]["segmentation"] = 7
    dataset = {"images": images, "categories": [{"id": 8, "name": "new"}], "annotations": annotations}
    (tmp_path / "bad.json").write_text(json.dumps(dataset))
    with Project.open(project_path) as project:
        before = list(project.store._connection().iterdump())
        with pytest.raises(RiseError, match="neither polygons nor run lengths"):
            import_coco(project, tmp_path / "bad.json")
        assert list(project.store._connection().iterdump()) == before


def test_a_name_of_half_a_character_is_refused(project_path: Path, tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "tote1.png"}]
    dataset = {"images": images, "categories": [{"id": 8, "name": "\ud800"}], "annotations": []}
    (tmp_path / "half.json").write_text(json.dumps(dataset))
    with Project.open(project_path) as project:
        with pytest.raises(RiseError, match="a name that is no text"):
            import_coco(project, tmp_path / "half.json")
        assert [category.name for category in project.annotations.categories()] == ["object"]
