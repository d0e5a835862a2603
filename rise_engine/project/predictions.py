"""The predictions of runs, and how a person accepts or rejects them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from rise_engine.errors import RiseError
from rise_engine.project.annotations import mark, require_category
from rise_engine.project.database.damage import reading
from rise_engine.project.database.journal import Journal
from rise_engine.project.database.store import Store
from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import to_json
from rise_engine.project.wording import number_of

_ROWS_A_TRANSACTION = 1000
"""The limit of one transaction: a person's stroke waits for at most one."""

# A prediction counts only if it belongs to the newest batch of its run and frame: a prediction that an undo restores
# after the run has predicted the frame again does not.
_CURRENT = (
    "predictions JOIN predicted ON predicted.frame = predictions.frame AND predicted.run = predictions.run "
    "AND predicted.batch = predictions.batch"
)

# Shown are the predictions of the run in use, or else those of the latest run that has predicted the frame.
_SHOWN_FIRST = "ORDER BY (SELECT value FROM settings WHERE key = 'current_run') IS NOT CAST(run AS TEXT), run DESC"
_SHOWN = f"(SELECT *, row_number() OVER (PARTITION BY frame {_SHOWN_FIRST}) AS place FROM predicted)"


class Predictions:
    """The tables ``predictions`` and ``predicted``. ``project.predictions``."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    def store(
        self,
        run: int,
        predictions: Mapping[int, Sequence[Instance]],
        *,
        disagreement: Mapping[int, float] | None = None,
    ) -> None:
        """Replace the predictions of a run on these frames; no edit, so never undone.

        ``disagreement``: by frame, how much its predictions change under strong augmentation, from 0 to 1.
        Raises RiseError for an unknown run, frame or category.
        """
        measured = disagreement or {}
        if not self._store.read("SELECT 1 FROM runs WHERE number = ?", (run,)):
            raise RiseError(f"The project has no run {run}; start one before storing its predictions.")
        part: list[tuple[int, Sequence[Instance]]] = []
        rows = 0
        for frame, instances in predictions.items():
            part.append((frame, instances))
            rows += len(instances) + 1
            if rows >= _ROWS_A_TRANSACTION:
                self._store_part(run, part, measured)
                part, rows = [], 0
        if part:
            self._store_part(run, part, measured)

    @reading("predictions")
    def of_frame(self, frame: int, *, run: int | None = None) -> list[Instance]:
        """The predictions of a run, best first; by default of the run in use, or else of the latest run with any."""
        if run is None:
            shown = self._store.read(f"SELECT run FROM predicted WHERE frame = ? {_SHOWN_FIRST} LIMIT 1", (frame,))
            if not shown:
                return []
            run = int(shown[0]["run"])
        rows = self._store.read(
            f"SELECT predictions.* FROM {_CURRENT} WHERE predictions.frame = ? AND predictions.run = ? "
            "ORDER BY score DESC, predictions.id",
            (frame, run),
        )
        return [_prediction(row) for row in rows]

    def latest_batch(self) -> int:
        """The number of the transaction that stored predictions last; 0 before the first."""
        return int(self._store.read("SELECT coalesce(max(batch), 0) AS batch FROM predicted")[0]["batch"])

    def frames_of(self, run: int, *, after: int = 0) -> set[int]:
        """The frames that a run predicted in transactions later than number ``after``."""
        rows = self._store.read("SELECT frame FROM predicted WHERE run = ? AND batch > ?", (run, after))
        return {int(row["frame"]) for row in rows}

    @reading("predictions")
    def latest_scores(self) -> dict[int, list[float]]:
        """By predicted frame, the scores of the run that ``of_frame`` chooses; an empty list without predictions."""
        scores: dict[int, list[float]] = {}
        rows = self._store.read(
            f"SELECT shown.frame AS frame, predictions.score AS score FROM {_SHOWN} AS shown "
            "LEFT JOIN predictions ON predictions.frame = shown.frame AND predictions.run = shown.run "
            "AND predictions.batch = shown.batch WHERE shown.place = 1"
        )
        for row in rows:
            found = scores.setdefault(row["frame"], [])
            if row["score"] is not None:
                found.append(float(row["score"]))
        return scores

    @reading("predictions")
    def sure(self, score: float) -> dict[int, list[int]]:
        """By frame, the ids of its shown predictions, for frames where all of them have at least this score."""
        rows = self._store.read(
            f"SELECT shown.frame AS frame, min(predictions.score) AS lowest, group_concat(predictions.id) AS ids "
            f"FROM {_SHOWN} AS shown JOIN predictions ON predictions.frame = shown.frame "
            "AND predictions.run = shown.run AND predictions.batch = shown.batch WHERE shown.place = 1 "
            "GROUP BY shown.frame HAVING lowest >= ?",
            (score,),
        )
        return {int(row["frame"]): [int(number) for number in row["ids"].split(",")] for row in rows}

    def latest_disagreement(self) -> dict[int, float]:
        """By frame, how much its shown predictions change under strong augmentation, where this was measured."""
        rows = self._store.read(
            f"SELECT frame, disagreement FROM {_SHOWN} WHERE place = 1 AND disagreement IS NOT NULL"
        )
        return {int(row["frame"]): float(row["disagreement"]) for row in rows}

    def accept(self, ids: Sequence[int], *, state: FrameState | None = FrameState.REVIEWED) -> list[int]:
        """Turn predictions into annotations with the same scores and return the new ids; one edit.

        Their frames get the state ``state``; None leaves the states unchanged.
        """
        rows = [self._row(number) for number in ids]
        accepted: list[int] = []
        with self._journal.edit(f"accepted {number_of(len(ids), 'prediction')}", frame=_only_frame(rows)) as edit:
            known = {row["id"] for row in edit.connection.execute("SELECT id FROM categories")}
            for row in rows:
                require_category(known, row["category"])
                edit.delete("predictions", row["id"])
                values = {name: row[name] for name in ("frame", "category", "segmentation", "score", "run")}
                accepted.append(edit.insert("instances", {**values, "source": Source.ACCEPTED.value}))
            for frame in {row["frame"] for row in rows}:
                if state is not None:
                    mark(edit, frame, when=set(FrameState), state=state)
        return accepted

    def reject(self, ids: Sequence[int]) -> None:
        """Delete predictions; one edit."""
        rows = [self._row(number) for number in ids]
        with self._journal.edit(f"rejected {number_of(len(ids), 'prediction')}", frame=_only_frame(rows)) as edit:
            for number in ids:
                edit.delete("predictions", number)

    def _store_part(
        self, run: int, part: Sequence[tuple[int, Sequence[Instance]]], disagreement: Mapping[int, float]
    ) -> None:
        with self._store.write() as connection:
            known = {row["id"] for row in connection.execute("SELECT id FROM categories")}
            batch = int(connection.execute("SELECT coalesce(max(batch), 0) + 1 FROM predicted").fetchone()[0])
            for frame, instances in part:
                if connection.execute("SELECT 1 FROM frames WHERE id = ?", (frame,)).fetchone() is None:
                    raise RiseError(f"The project has no frame {frame}; scan the image folder again.")
                connection.execute("DELETE FROM predictions WHERE frame = ? AND run = ?", (frame, run))
                connection.execute(
                    "INSERT OR REPLACE INTO predicted VALUES (?, ?, ?, ?)", (frame, run, batch, disagreement.get(frame))
                )
                for instance in instances:
                    require_category(known, instance.category)
                    connection.execute(
                        "INSERT INTO predictions (frame, run, batch, category, segmentation, score) "
                        "VALUES (?, ?, ?, ?, ?, ?)",
                        (frame, run, batch, instance.category, to_json(instance.segmentation), instance.score or 0.0),
                    )

    def _row(self, number: int) -> sqlite3.Row:
        rows = self._store.read("SELECT * FROM predictions WHERE id = ?", (number,))
        if not rows:
            raise RiseError(f"The prediction {number} is gone; a run has predicted the frame again, so show it again.")
        return rows[0]


def _only_frame(rows: Sequence[sqlite3.Row]) -> int | None:
    frames = {int(row["frame"]) for row in rows}
    return frames.pop() if len(frames) == 1 else None


def _prediction(row: sqlite3.Row) -> Instance:
    return Instance(
        id=row["id"],
        frame=row["frame"],
        category=row["category"],
        segmentation=json.loads(row["segmentation"]),
        score=row["score"],
        source=Source.PREDICTED,
        run=row["run"],
    )
