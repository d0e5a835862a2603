"""A COCO file in the form in which a project stores it (COCO format)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

from rise_engine.errors import RiseError
from rise_engine.formats.coco.file import CocoFile
from rise_engine.formats.coco.identity import doubled_images
from rise_engine.formats.coco.placement import Extent, Fit, fit_of, placed, with_size
from rise_engine.formats.coco.polygons import as_polygons, bounds_of
from rise_engine.formats.watch import Watch
from rise_engine.project.frames import frame_name
from rise_engine.project.image_file import read_header
from rise_engine.project.segmentation import area_of, to_json
from rise_engine.project.upright import Size, usable_size

UNFIT = "null"
"""Replaces a segmentation that is neither polygons nor run lengths."""
_LONGEST_EMPTY = 12
"""Characters of compressed run lengths that may have no pixel."""
_IMAGE_FOLDERS = frozenset({"images", "JPEGImages"})
"""The names that labelling tools give to the image folder."""
_NAMED = frozenset({"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd"})


class PreparedAnnotation(NamedTuple):
    """An annotation of the file in the form in which it is stored."""

    number: Any
    image: int | str
    category: int | str
    segmentation: str
    """Empty without a segmentation, ``UNFIT`` when it cannot be stored."""
    crowd: int
    extra: str
    origin: str
    extent: Extent = Extent()
    """Where its mask is, to compare it with the image."""
    solid: bool = True
    """Whether the mask certainly covers pixels inside its extent."""


class PreparedFile:
    """A COCO file with its images found and its annotations ready to be stored."""

    def __init__(self, file: CocoFile, root: Path, watch: Watch, *, scale: bool = False) -> None:
        """``scale`` scales the annotations of an image of another size, where the aspect ratio agrees.

        Raises RiseError when the file lists an image twice with different annotations.
        """
        self.path, self.header, self.categories = file.path, file.header, file.categories
        # All names are checked before the first file is searched.
        names = {entry["id"]: frame_name(root, entry["file_name"]) for entry in file.images}
        self.names = {number: _inside(root, name) for number, name in names.items()}
        """The names of the images by their ids, None for a missing file."""
        entries = watch(file.annotations(), total=file.annotation_count, doing="reading annotations")
        annotations = [_prepared(entry) for entry in entries]
        doubles = self._doubles(annotations)
        self.doubled_images = len(doubles)
        """Images that the file lists a second time, with the same annotations; they are left out."""
        self.images = [entry for entry in file.images if entry["id"] not in doubles]
        self.placed: Counter[Fit] = Counter()
        """How many images have annotations that fit their photo in each way."""
        self.scaled_images = 0
        self.pixelless = 0
        """Annotations without a pixel in their image; they are left out."""
        self.pixelless_images: set[int | str] = set()
        self.annotations = self._placed([one for one in annotations if one.image not in doubles], root, scale=scale)

    def _doubles(self, annotations: list[PreparedAnnotation]) -> set[int | str]:
        names = {number: name for number, name in self.names.items() if name is not None}
        repeated = {name for name, count in Counter(names.values()).items() if count > 1}
        if not repeated:
            return set()
        contents: dict[int | str, Counter[Hashable]] = defaultdict(Counter)
        for one in annotations:
            if names.get(one.image) in repeated:
                contents[one.image][one.category, one.segmentation, one.crowd] += 1
        return doubled_images(self.path, names, contents)

    def _placed(self, annotations: list[PreparedAnnotation], root: Path, *, scale: bool) -> list[PreparedAnnotation]:
        """The annotations on their upright photos, without those that have no pixel there, in their order."""
        places: dict[int | str, list[int]] = defaultdict(list)
        for place, one in enumerate(annotations):
            if one.segmentation not in ("", UNFIT) and self.names.get(one.image) is not None:
                places[one.image].append(place)
        left_out: set[int] = set()
        for number, entry in enumerate(self.images):
            found = places.get(entry["id"])
            name = self.names[entry["id"]]
            if not found or name is None:
                continue
            try:
                header = read_header(root / name)
            except RiseError:
                # The photo is reported where it is used.
                continue
            given = usable_size(entry)
            fit = fit_of(given, header, [annotations[place].extent for place in found])
            moves = fit is Fit.SENSOR or (fit is Fit.SCALABLE and scale)
            if moves:
                self.images[number] = with_size(entry, header)
                for place in found:
                    one = annotations[place]
                    text, origin = placed(one.segmentation, one.origin, given, header, fit)
                    annotations[place] = _measured(one._replace(segmentation=text, origin=origin))
            self.placed[fit] += not (moves and fit is Fit.SCALABLE)
            self.scaled_images += moves and fit is Fit.SCALABLE
            kept_size = fit in (Fit.SCALABLE, Fit.ANOTHER) and not moves
            size = given if kept_size and given is not None else (header.width, header.height)
            left_out.update(place for place in found if not _has_pixels(annotations[place], size))
        self.pixelless = len(left_out)
        self.pixelless_images = {annotations[place].image for place in left_out}
        return [one for place, one in enumerate(annotations) if place not in left_out]


def _inside(root: Path, name: str) -> str | None:
    """The name of an image in the image folder; None when it is missing.

    Some tools write names relative to the parent folder: ``images/a.png``, or ``totes/a.png`` for ``totes``.
    """
    if (root / name).is_file():
        return name
    folder, _, rest = name.partition("/")
    if rest and folder in {*_IMAGE_FOLDERS, root.name} and (root / rest).is_file():
        return rest
    return None


def _prepared(entry: dict[str, Any]) -> PreparedAnnotation:
    segmentation = entry.get("segmentation")
    polygons = as_polygons(segmentation) if segmentation else None
    if not segmentation:
        text = ""
    elif polygons is not None:
        text = to_json(polygons)
    elif isinstance(segmentation, dict) and {"size", "counts"} <= segmentation.keys():
        text = to_json(segmentation)
    else:
        text = UNFIT
    extra = {key: value for key, value in entry.items() if key not in _NAMED}
    return _measured(
        PreparedAnnotation(
            entry.get("id"),
            entry["image_id"],
            entry["category_id"],
            text,
            entry.get("iscrowd", 0),
            json.dumps(extra) if extra else "{}",
            json.dumps({key: entry[key] for key in ("id", "area", "bbox") if key in entry}),
        ),
        polygons if polygons is not None else segmentation,
    )


def _measured(one: PreparedAnnotation, segmentation: Any = None) -> PreparedAnnotation:
    """The annotation with the extent of its mask, which is ``segmentation`` or read from the text."""
    if one.segmentation in ("", UNFIT):
        return one
    found = json.loads(one.segmentation) if segmentation is None else segmentation
    if isinstance(found, dict):
        size, counts = found["size"], found["counts"]
        whole = isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)
        # A longer text has more than the run of a mask without pixels.
        solid = isinstance(counts, str) and len(counts) > _LONGEST_EMPTY
        return one._replace(extent=Extent(rle_size=(size[1], size[0]) if whole else None), solid=solid)
    try:
        bounds, solid = bounds_of(found)
    except (TypeError, ValueError, OverflowError):
        # Reported where the mask is used.
        return one
    return one._replace(extent=Extent(bounds=bounds), solid=solid)


def _has_pixels(one: PreparedAnnotation, size: Size) -> bool:
    """Whether a mask covers a pixel of an image of this size; True for one that cannot be read, which is kept."""
    bounds, rle_size = one.extent.bounds, one.extent.rle_size
    width, height = rle_size or size
    if one.solid and (bounds is None or (min(bounds[:2]) >= 0 and bounds[2] <= width and bounds[3] <= height)):
        return True
    try:
        return area_of(json.loads(one.segmentation), height, width) > 0
    except (RiseError, TypeError, ValueError, OverflowError):
        return True
