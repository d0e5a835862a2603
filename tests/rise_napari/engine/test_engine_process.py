"""The engine process of the window: errors are sentences, a dead child is replaced, an abandoned job leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rise_engine.errors import RiseError
from rise_napari.engine.process import EngineProcess


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    process = EngineProcess()
    yield process
    process.close()


def fail(engine: EngineProcess, tmp_path: Path) -> str:
    """The error of a job on a project that does not exist."""
    with pytest.raises(RiseError) as caught:
        list(engine.run("candidates", project=str(tmp_path / "none.rise"), frame=1, min_score=0.1))
    return str(caught.value)


@pytest.mark.slow
def test_an_error_is_reported_and_the_child_is_reused(engine: EngineProcess, tmp_path: Path) -> None:
    assert "none.rise" in fail(engine, tmp_path)
    child = engine._child
    assert "none.rise" in fail(engine, tmp_path)
    assert engine._child is child


@pytest.mark.slow
def test_a_dead_child_is_replaced(engine: EngineProcess, tmp_path: Path) -> None:
    fail(engine, tmp_path)
    assert engine._child is not None
    engine._child.kill()
    assert "none.rise" in fail(engine, tmp_path)


class EndlessChild:
    """A child that reports progress and never a result."""

    alive = True
    killed = False

    def send(self, message: dict[str, object]) -> bool:
        return True

    def next_message(self) -> dict[str, object]:
        return {"progress": 1}

    def kill(self) -> None:
        self.killed = True


def test_an_abandoned_job_is_ended_so_that_its_answers_do_not_reach_the_next_one(engine: EngineProcess) -> None:
    child = engine._child = EndlessChild()  # type: ignore[assignment]
    job = engine.run("predict")
    assert next(job) == {"progress": 1}
    assert not child.killed
    job.close()
    assert child.killed
