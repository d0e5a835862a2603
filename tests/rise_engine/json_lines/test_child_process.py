"""A child process that exchanges JSON lines: messages in both directions, foreign output, and every kind of end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rise_engine.json_lines.parent import ChildProcess, Message

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0
CHILD = """
import os
import sys
import time

from rise_engine.json_lines.child import ParentConnection

parent = ParentConnection()
for message in parent:
    if message["do"] == "echo":
        parent.send({"echo": message["text"]})
    elif message["do"] == "print":
        print("from Python")
        os.system("echo from a library")
        os.write(2, b"the last error\\n")
        parent.send({"printed": True})
    elif message["do"] == "garbage":
        os.write(parent._output.fileno(), b'no JSON\\n[1, 2]\\n\\xff\\n')
        parent.send({"garbage": True})
    elif message["do"] == "sleep":
        time.sleep(600)
    elif message["do"] == "end":
        parent.send({"last": True})
        sys.exit(3)
"""
PARENT = """
import sys
from rise_engine.json_lines.parent import ChildProcess

child = ChildProcess("json_child")
child.send({"do": "echo", "text": "ready"})
print(child.next_message() and child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ChildProcess]]:
    (tmp_path / "json_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    started: list[ChildProcess] = []

    def begin() -> ChildProcess:
        started.append(ChildProcess("json_child"))
        return started[-1]

    yield begin
    for child in started:
        child.kill()
        child.close()


def test_messages_arrive_in_both_directions_and_in_order(start: Callable[[], ChildProcess]) -> None:
    child = start()
    texts = [f"ä {number}\n" for number in range(200)]
    for text in texts:
        assert child.send({"do": "echo", "text": text})
    assert [child.next_message() for _ in texts] == [{"echo": text} for text in texts]
    assert child.received() == []


def test_output_of_libraries_does_not_mix_with_messages(start: Callable[[], ChildProcess]) -> None:
    child = start()
    child.send({"do": "print"})
    assert child.next_message() == {"printed": True}
    assert child.last_error_line() == "the last error"
    child.send({"do": "garbage"})
    assert child.next_message() == {"garbage": True}


def test_the_last_messages_of_an_ended_child_are_received(start: Callable[[], ChildProcess]) -> None:
    child = start()
    child.send({"do": "end"})
    assert child.wait(PATIENCE)
    child.wait_for_last_messages()
    assert child.received() == [{"last": True}]
    assert child.next_message() is None
    assert child.exit_code == 3
    assert not child.send({"do": "echo", "text": "too late"})
    child.close()
    child.close()
    assert child.received() == []
    assert child.last_error_line() == ""


def test_killing_a_busy_child_wakes_the_thread_that_waits_for_it(start: Callable[[], ChildProcess]) -> None:
    child = start()
    child.send({"do": "echo", "text": "ready"})
    assert child.next_message() == {"echo": "ready"}
    child.send({"do": "sleep"})
    assert not child.wait(0.2)
    answers: list[Message | None] = []
    waiting = threading.Thread(target=lambda: answers.append(child.next_message()))
    waiting.start()
    child.kill()
    waiting.join(PATIENCE)
    assert answers == [None]
    assert not child.alive


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_child_ends_when_its_parent_is_killed(start: Callable[[], ChildProcess]) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None and parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(PATIENCE)
    parent.stdin.close()
    parent.stdout.close()
    deadline = time.monotonic() + PATIENCE
    while _runs(child):
        assert time.monotonic() < deadline, "the child goes on without a parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether a process exists and is no zombie that nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.is_file() or state.read_text().rpartition(")")[2].split()[0] != "Z"
