"""Import and export of COCO files: the public names."""

from __future__ import annotations

from rise_engine.formats.coco.exporter import ExportReport, export_coco, image_ids, to_coco
from rise_engine.formats.coco.importer import ImportReport, import_coco

__all__ = ["ExportReport", "ImportReport", "export_coco", "image_ids", "import_coco", "to_coco"]
