"""What a scan of the image folder passes over, by reason; and names that are not UTF-8."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from rise_engine.project.image_folder import image_names
from rise_engine.project.maintenance.check import unused_content
from rise_engine.project.project import Project

NOT_UTF8 = b"d\xe9cran.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "totes").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "totes" / "a.png")
    return tmp_path / "totes"


def _add_not_utf8(folder: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("this file system has only names of text")
    os.link(folder / "a.png", os.fsencode(folder) + b"/" + NOT_UTF8)
    (folder / os.fsdecode(b"r\xe9")).mkdir()
    os.link(folder / "a.png", os.fsencode(folder) + b"/r\xe9/b.png")


def test_each_reason_is_counted(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / "more.txt").write_text("x")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / ".git").mkdir()
    (folder / ".git" / "b.png").write_bytes(b"")
    Image.new("RGB", (8, 6)).save(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "inside.png").symlink_to(folder / "a.png")
    (folder / "gone.png").symlink_to(tmp_path / "gone.png")
    (folder / "linked").symlink_to(tmp_path)
    names, passed_over = image_names(folder)
    assert sorted(names) == ["a.png", "inside.png"]
    assert passed_over.counts == {
        "file of another type": 2,
        "hidden file": 1,
        "link out of the folder": 1,
        "broken link": 1,
        "linked folder": 1,
    }
    assert passed_over.in_words().count("\n") == 0


def test_names_that_are_not_utf8_are_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    _add_not_utf8(folder)
    names, passed_over = image_names(folder)
    assert names == ["a.png"]
    assert sorted(passed_over.not_utf8) == [r"'d\udce9cran.png'", r"'r\udce9/b.png'"]
    assert r"2 file names not in UTF-8" in passed_over.in_words()
    assert passed_over.in_words().isascii()
    with Project.create(tmp_path / "p.rise", folder) as project:
        report = project.scan()
        assert (report.added, report.skipped_files) == (1, 2)


def test_further_pages_and_more_bits_are_reported(folder: Path, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (80, 60)) for _ in range(3)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    Image.new("I;16", (80, 60)).save(folder / "deep.png")
    with Project.create(tmp_path / "p.rise", folder) as project:
        project.scan()
        unused = {frame.name: unused_content(project, frame) for frame in project.frames.all()}
    assert unused["a.png"] == []
    assert unused["pages.tif"] == ["further pages"]
    assert unused["deep.png"] == ["16-bit grey, scaled to 8 bits and used as RGB"]
