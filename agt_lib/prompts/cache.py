"""Every answer that was paid for, in one file of JSON lines that only grows."""

import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest


@dataclass(frozen=True)
class Answer:
    """What an endpoint answered: `content`, or the `problem` that left it without one.

    Tokens are as the endpoint counted them, None where it did not.
    """

    content: str = ""
    problem: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None


class AnswerCache:
    """Answers by the digest of endpoint, model and chat, kept in `path`.

    A context manager: while it is open another process that wants the same file waits. An answer
    is on disk before `add` returns. A line that a killed process left torn is passed over, and its
    answer asked for again.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = FileLock(path.with_suffix(".lock"))
        self._writing = threading.Lock()
        self._answers: dict[str, Answer] = {}

    def __enter__(self) -> "AnswerCache":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            where = paths.relative(self.path)
            print(f"another process is filling {where}: waiting for it", file=sys.stderr)
            self._lock.acquire()
        self._answers = self.read(self.path)
        self._file = self.path.open("ab")
        if self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")  # behind a torn line
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()
        self._lock.release()

    @staticmethod
    def read(path: Path) -> dict[str, Answer]:
        """The answers in the file, by key; none where there is no file."""
        answers = {}
        if path.is_file():
            for line in path.read_bytes().splitlines():
                try:
                    row = json.loads(line)
                    answers[row["key"]] = Answer(**row["answer"])
                except (ValueError, TypeError, KeyError):
                    continue
        return answers

    @staticmethod
    def key(endpoint: str, model: str, messages: list[Mapping[str, str]]) -> str:
        """What identifies a chat; another endpoint may mean another model by the same name."""
        return digest([endpoint, model, [dict(message) for message in messages]], length=32)

    def get(self, key: str) -> Answer | None:
        """The answer under `key`, or None."""
        return self._answers.get(key)

    def add(self, key: str, model: str, answer: Answer) -> None:
        """Keep `answer` under `key`, from any thread."""
        row = {"key": key, "model": model, "answer": asdict(answer)}
        line = json.dumps(row, ensure_ascii=True) + "\n"
        with self._writing:
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._answers[key] = answer
