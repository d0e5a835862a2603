"""Export a project as a COCO dataset; annotations that were not edited are written unchanged (COCO format)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rise_engine.atomic import atomic_file
from rise_engine.errors import RiseError
from rise_engine.project.database.damage import reading
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord, FrameState, Source, StoredAnnotation
from rise_engine.project.segmentation import Polygons, Segmentation, area_of, box_of, from_mask, to_mask
from rise_engine.project.upright import Size, size_conflict, usable_size

ExportSource = Literal["reviewed", "drawn", "all"]
ExportMasks = Literal["as-imported", "rle", "polygons"]
_BY_HAND = frozenset({Source.DRAWN, Source.IMPORTED})


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The numbers of written frames and instances, and the file."""

    frames: int
    instances: int
    path: Path


@reading("annotations")
def export_coco(
    project: Project,
    path: Path,
    *,
    source: ExportSource = "reviewed",
    masks: ExportMasks = "as-imported",
    run: int | None = None,
) -> ExportReport:
    """Write a COCO file, completely or not at all.

    ``reviewed`` exports the labelled and reviewed frames with all their annotations; ``drawn`` only the drawn and the
    imported ones; ``all`` adds unlabelled frames with the predictions of ``run`` (by default the latest run of each
    frame) and their ``score``. Polygons cannot have holes; crowds stay run lengths. Raises RiseError when the disk is
    full.
    """
    export = _Export(project, source=source, masks=masks, run=run, frames=None)
    images = export.images()
    instances = 0
    with atomic_file(Path(path)) as file:
        head = {**export.header(), "images": images, "categories": export.categories()}
        file.write(json.dumps(head)[:-1].encode() + b', "annotations": [')
        for text in export.annotations():
            file.write((",\n" if instances else "\n").encode() + text.encode())
            instances += 1
        file.write(b"]}\n")
    return ExportReport(len(images), instances, Path(path))


@reading("annotations")
def to_coco(
    project: Project,
    *,
    source: ExportSource = "reviewed",
    masks: ExportMasks = "as-imported",
    run: int | None = None,
    frames: Collection[int] | None = None,
) -> dict[str, Any]:
    """The same dataset as a dict; ``frames`` are the ids of the frames to export."""
    export = _Export(project, source=source, masks=masks, run=run, frames=frames)
    return {
        **export.header(),
        "images": export.images(),
        "categories": export.categories(),
        "annotations": [json.loads(text) for text in export.annotations()],
    }


@reading("frames")
def image_ids(project: Project) -> dict[int, int | str]:
    """The COCO image id of every frame of the project: the imported one, else a new number."""
    imported = {frame: origin["id"] for frame, origin in project.frames.origins().items()}
    ids = _Ids(imported.values())
    return {frame.id: ids.of(imported.get(frame.id)) for frame in project.frames.all()}


class _Ids:
    """Assigns ids: the wanted id the first time, afterwards the next number above all wanted ones."""

    def __init__(self, wanted: Iterable[Any]) -> None:
        self._free = max((number for number in wanted if isinstance(number, int)), default=0) + 1
        self._used: set[int | str] = set()

    def of(self, wanted: int | str | None) -> int | str:
        if wanted is None or wanted in self._used:
            wanted = self._free
            self._free += 1
        self._used.add(wanted)
        return wanted


def _usable_id(number: object) -> int | str | None:
    """An imported annotation id; None where it is neither a number nor text, so that a free number replaces it."""
    return number if isinstance(number, int | str) and not isinstance(number, bool) else None


class _Export:
    def __init__(
        self,
        project: Project,
        *,
        source: ExportSource,
        masks: ExportMasks,
        run: int | None,
        frames: Collection[int] | None,
    ) -> None:
        self._project = project
        self._source = source
        self._masks = masks
        self._run = run
        self._frames = self._chosen(frames)
        self._origins = project.frames.origins()
        self._image_ids = image_ids(project)
        self._sizes: dict[int, Size] = {}

    def header(self) -> dict[str, Any]:
        """The top-level fields of the imported files; lists of several files are joined."""
        header: dict[str, Any] = {}
        for fields in self._project.annotations.headers():
            for key, value in fields.items():
                if isinstance(value, list) and isinstance(header.get(key), list):
                    header[key] += [item for item in value if item not in header[key]]
                else:
                    header.setdefault(key, value)
        return header

    def categories(self) -> list[dict[str, Any]]:
        fields = self._project.annotations.category_fields()
        known = self._project.annotations.categories()
        return [{"id": category.id, "name": category.name, **fields[category.id]} for category in known]

    def images(self) -> list[dict[str, Any]]:
        return [self._image(frame) for frame in self._frames.values()]

    def annotations(self) -> Iterator[str]:
        """JSON texts, oldest annotation first."""
        ids = _Ids(self._project.annotations.imported_ids())
        for row in self._project.annotations.stream():
            if row.frame in self._frames and (self._source != "drawn" or row.source in _BY_HAND):
                origin = json.loads(row.origin) if row.origin else {}
                yield self._annotation(row, ids.of(_usable_id(origin.get("id"))), origin, json.loads(row.extra))
        if self._source == "all":
            for frame in self._frames.values():
                if frame.state is FrameState.UNLABELLED:
                    for found in self._project.predictions.of_frame(frame.id, run=self._run):
                        row = StoredAnnotation.of(frame.id, found)._replace(segmentation=json.dumps(found.segmentation))
                        yield self._annotation(row, ids.of(None), {}, {"score": found.score})

    def _chosen(self, frames: Collection[int] | None) -> dict[int, FrameRecord]:
        project = self._project
        chosen = {frame.id for frame in project.frames.annotated()}
        if self._source == "drawn":
            # A reviewed frame without a drawn instance would be exported as an empty frame, which it is not.
            labelled = {frame.id for frame in project.frames.all(state=FrameState.LABELLED)}
            chosen &= labelled | project.annotations.frames_with_annotations(sources=_BY_HAND)
        if self._source == "all":
            found = project.predictions.latest_scores()
            chosen |= {frame.id for frame in project.frames.all(state=FrameState.UNLABELLED) if frame.id in found}
        if frames is not None:
            chosen &= set(frames)
        return {frame.id: frame for frame in project.frames.all() if frame.id in chosen}

    def _image(self, frame: FrameRecord) -> dict[str, Any]:
        entry = {"file_name": frame.name, **self._origins.get(frame.id, {}), "id": self._image_ids[frame.id]}
        given = usable_size(entry)
        if given is None or self._masks != "as-imported":
            # An imported entry may have the sides as the sensor has them; converted masks are of the upright image.
            given = self._upright(frame.id)
        if (entry.get("width"), entry.get("height")) != given:
            entry["width"], entry["height"] = given
        return entry

    def _upright(self, frame: int) -> Size:
        """The size of the image file; where that is gone, the size that the imported file gives."""
        if frame not in self._sizes:
            try:
                self._sizes[frame] = self._project.probe(frame)
            except RiseError:
                given = usable_size(self._origins.get(frame, {}))
                if given is None:
                    raise
                self._sizes[frame] = given
        return self._sizes[frame]

    def _polygon_size(self, frame: int, polygons: Polygons) -> tuple[int, int]:
        """The (height, width) to rasterise polygons at.

        Raises RiseError naming the frame when they were made on another size and have to be converted.
        """
        size = self._upright(frame)
        given = usable_size(self._origins.get(frame, {}))
        words = size_conflict(given, size, [polygons])
        if words is not None:
            if self._masks != "as-imported":
                raise RiseError(f"{self._frames[frame].name}: {words}")
            # They leave unchanged, with the entry of their own size.
            size = given or size
        return size[1], size[0]

    def _annotation(
        self,
        row: StoredAnnotation,
        number: int | str,
        origin: dict[str, Any],
        extra: dict[str, Any],
    ) -> str:
        text = row.segmentation
        area, box = origin.get("area"), origin.get("bbox")
        unchanged = self._masks == "as-imported"
        if not unchanged or area is None or box is None:
            segmentation: Segmentation = json.loads(text)
            if isinstance(segmentation, dict):
                height, width = segmentation["size"]
            else:
                height, width = self._polygon_size(
                    row.frame, segmentation if row.source == Source.IMPORTED.value else []
                )
            if not unchanged:
                segmentation = self._converted(segmentation, height, width, crowd=bool(row.crowd))
                text = json.dumps(segmentation)
            if not unchanged or area is None:
                area = area_of(segmentation, height, width)
            if not unchanged or box is None:
                x0, y0, x1, y1 = box_of(segmentation, height, width)
                box = [x0, y0, x1 - x0, y1 - y0]
        fields = {
            "id": number,
            "image_id": self._image_ids[row.frame],
            "category_id": row.category,
            "area": area,
            "bbox": box,
            "iscrowd": row.crowd,
            **extra,
        }
        # The stored text is written unchanged: numbers that are never parsed cannot change.
        return f'{json.dumps(fields)[:-1]}, "segmentation": {text}}}'

    def _converted(self, segmentation: Segmentation, height: int, width: int, *, crowd: bool) -> Segmentation:
        if self._masks == "rle" or crowd:
            return from_mask(to_mask(segmentation, height, width))
        if isinstance(segmentation, list):
            return segmentation
        # Imported here because its libraries take half a second to load, and few exports need them.
        from rise_engine.formats.coco.outline import outline

        return outline(to_mask(segmentation, height, width))
