"""A file written piece by piece that survives its writer: an interrupted run leaves what the next one goes on from.

Beside OUT stand ``.OUT.partial``, of its final size from the start, and ``.OUT.partial.jsonl``, its journal: the job
on the first line, then a line for each finished piece, written once the bytes of that piece are on the disk. A line
without its end was being written when the run ended, and does not count. OUT itself appears only whole, in one step.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from densimeter.formats.errors import ConfigError


class PartialFile:
    """The unfinished form of one file.

    finished: what an earlier run of the same job recorded of each piece that it finished, by name. restarted: what is
    different about an earlier run, whose work is then thrown away; empty where there was none.
    """

    def __init__(self, path: Path, header: bytes, total_bytes: int, job: dict[str, Any]) -> None:
        """Begin, or go on where a run of the same job ended; ConfigError where one is still at it, or writing fails."""
        self._path = path
        self._data = path.with_name(f".{path.name}.partial")
        self._journal = path.with_name(f".{path.name}.partial.jsonl")
        self.finished: dict[str, Any] = {}
        self.restarted: list[str] = []
        with self._writing():
            self._file = self._lock()
            earlier = self._read_journal()
            if earlier and earlier[0] == job and os.fstat(self._file).st_size == total_bytes:
                self.finished = {line["piece"]: line["record"] for line in earlier[1:]}
            else:
                if earlier:
                    self.restarted = [key for key in job if earlier[0].get(key) != job[key]] or ["size"]
                self._begin(header, total_bytes, job)
            self._lines = self._journal.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        os.close(self._file)

    def write(self, offset: int, raw: memoryview) -> None:
        """Write bytes at an offset of the file."""
        with self._writing():
            while raw:
                written = os.pwrite(self._file, raw, offset)
                offset, raw = offset + written, raw[written:]

    def finish(self, piece: str, record: dict[str, Any]) -> None:
        """All bytes of this piece have been written."""
        with self._writing():
            os.fdatasync(self._file)
            self._lines.write(json.dumps({"piece": piece, "record": record}) + "\n")
            self._lines.flush()

    def publish(self) -> None:
        """All pieces are finished: the file takes its place."""
        with self._writing():
            os.replace(self._data, self._path)
            self._journal.unlink()

    def discard(self) -> None:
        """Leave nothing behind: the same job would fail again."""
        self._data.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._data}: {error.strerror}; what is finished is kept, and the same command goes on "
                "once there is space and permission"
            ) from error

    def _lock(self) -> int:
        while True:
            file = os.open(self._data, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(file)
                raise ConfigError(f"another run is writing {self._data}; wait for it or name another output") from error
            if self._data.exists() and os.path.samestat(os.fstat(file), self._data.stat()):
                return file
            os.close(file)  # another run has published it meanwhile

    def _begin(self, header: bytes, total_bytes: int, job: dict[str, Any]) -> None:
        """The journal goes first and comes last: it never stands beside the bytes of another job."""
        self._journal.unlink(missing_ok=True)
        try:
            os.truncate(self._file, 0)
            os.posix_fallocate(self._file, 0, total_bytes)  # no space is known now and not after hours
        except OSError:
            self._data.unlink()
            raise
        os.pwrite(self._file, header, 0)
        self._journal.write_text(json.dumps(job) + "\n", encoding="utf-8")

    def _read_journal(self) -> list[dict[str, Any]]:
        """Its whole lines, and the torn one after them cut off; nothing where it cannot be read."""
        try:
            text = self._journal.read_bytes()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        os.truncate(self._journal, len(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            return []
        return lines if all(isinstance(line, dict) for line in lines) else []
