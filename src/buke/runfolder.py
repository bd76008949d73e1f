"""Room `runfolder`: the names of the files in a run, and the only ways to write them.

A run folder is all that training, comparison and report share. Whole files and folders appear atomically; lines are
appended. Whatever changes a run passes through ``disk``, so that a test can let any of these calls fail.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import itertools
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psutil

from buke.words import Refusal, of_system, t

RUN_TOML = "run.toml"
MANIFEST = "manifest.json"
DATA = "data.json"
PLAN = "plan.json"
STEPS = "steps.jsonl"
EVAL = "eval.jsonl"
EVENTS = "events.jsonl"
LOCK = "run.lock"
HELD_OUT = "held-out.jsonl"
CHECKPOINTS = "checkpoints"
ADAPTER = "adapter"
ANSWERS_BEFORE = "answers-before.jsonl"
ANSWERS_AFTER = "answers-after.jsonl"
COMPARISON = "comparison.json"
REPORT = "report.html"
CURVE = "loss_curve.png"
PART, ASIDE = ".part", ".old"  # ends of the names of what is not whole yet, and of what is being replaced
Piece = bytes | bytearray | memoryview


class Disk:
    """The calls of the operating system that change a run, one method each. Each raises OSError where it fails."""

    def make(self, folder: Path) -> None:
        """Make a folder; the one it stands in has to be there."""
        folder.mkdir()

    def open(self, path: Path, mode: str) -> IO[bytes]:
        """Open a file for writing (``wb``) or for adding to it (``ab``, ``a+b``), without a buffer of ours."""
        return open(path, mode, buffering=0)

    def write(self, file: IO[bytes], piece: Piece) -> None:
        """Write all of a piece."""
        rest = memoryview(piece).cast("B")
        while rest:
            rest = rest[file.write(rest) :]

    def sync(self, file: IO[bytes]) -> None:
        """Wait until a file is on the medium."""
        os.fsync(file.fileno())

    def sync_folder(self, folder: Path) -> None:
        """Wait until the names in a folder are on the medium. Windows has no call for it."""
        if os.name == "posix":
            number = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name; a file of that name is replaced."""
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        """Delete a file, or a folder with all in it. What is not there is removed already."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


disk = Disk()


def check_name(name: str) -> None:
    """Raise Refusal where a run cannot have this name."""
    if not re.fullmatch(r"[\w][\w .+-]{0,99}", name) or name.endswith((" ", ".")):
        raise Refusal(t("runfolder.bad_name", name=name), t("runfolder.bad_name_hint"))


def check_free(runs: Path, name: str) -> None:
    """Raise Refusal where ``runs/name`` cannot become a run: an unfit name, a taken one, a place we may not write."""
    run = runs / name
    check_name(name)
    if run.exists():
        raise Refusal(t("runfolder.exists", run=run), _beside(run))
    there = next(path for path in (runs, *runs.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = of_system(_why_not(there) if there.is_dir() else OSError(errno.ENOTDIR, ""))
        raise Refusal(t("runfolder.unwritable", run=run, why=why), t("runfolder.unwritable_hint"))


def free_name(runs: Path, name: str) -> str:
    """``name`` with the first number, from 2 on, that no run has yet."""
    return next(each for number in itertools.count(2) if not (runs / (each := f"{name[:90]}-{number}")).exists())


def _beside(run: Path) -> str:
    """What may be done where a name is taken."""
    notes = None
    with suppress(Refusal):
        notes = read_json(run / MANIFEST)
    going = isinstance(notes, dict) and not notes.get("finished")
    return t(
        "runfolder.unfinished_hint" if going else "runfolder.exists_hint", run=run, free=free_name(run.parent, run.name)
    )


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder that need not exist yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free


@contextmanager
def creating(runs: Path, name: str) -> Iterator[Path]:
    """Make the folder ``runs/name``: what the block writes into the folder it is given becomes a run, whole or not at
    all, locked for this process. Raises Refusal as ``check_free`` does, and where the disk does not take it.
    """
    check_free(runs, name)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        sweep(runs, age=60)
        with new_folder(runs / name) as part:
            _write_lock(part / LOCK)
            yield part
    except OSError as error:
        why = reason(error, runs)
        raise Refusal(t("runfolder.unwritable", run=runs / name, why=why), t("runfolder.unwritable_hint")) from None


def create(runs: Path, name: str) -> Path:
    """Make the empty folder ``runs/name`` and return it. Raises Refusal as ``check_free`` does."""
    with creating(runs, name) as part:
        disk.remove(part / LOCK)
    return runs / name


def find(runs: Path, run: str) -> Path:
    """The run a user named, as a path or as a name under ``runs``. Raises Refusal listing the runs there are."""
    for candidate in (Path(run), runs / run):
        if (candidate / RUN_TOML).is_file():
            return candidate
    known = ", ".join(path.name for path in runs_in(runs)[:8])
    raise Refusal(t("runfolder.none", run=run), t("runfolder.known", names=known) if known else "")


def runs_in(runs: Path) -> list[Path]:
    """Every run under a folder, the newest first. Raises Refusal for a folder that may not be read."""
    if runs.is_dir() and not os.access(runs, os.R_OK | os.X_OK):
        why = of_system(OSError(errno.EACCES, ""))
        raise Refusal(t("runfolder.unreadable", place=runs, why=why), t("runfolder.unreadable_hint"))
    found = [path.parent for path in runs.glob(f"[!.]*/{RUN_TOML}")]
    return sorted(found, key=lambda path: (path / RUN_TOML).stat().st_mtime, reverse=True)


def write_pieces(path: Path, pieces: Iterable[Piece]) -> str:
    """Write a whole file so that it is either the old one or the new one, never a part; return its SHA-256, in hex."""
    return _replace({path: pieces})[0]


def _replace(files: Mapping[Path, Iterable[Piece]], first_gone: Path | None = None) -> list[str]:
    """Write whole files, all of them before the first gets its name; return the SHA-256 of each, in hex.

    first_gone: one that is removed before the others are replaced.
    """
    temporaries = {path: path.with_name(f".{path.name}.{os.getpid()}{PART}") for path in files}
    digests = []
    try:
        for path, pieces in files.items():
            digest = hashlib.sha256()
            with disk.open(temporaries[path], "wb") as file:
                for piece in pieces:
                    disk.write(file, piece)
                    digest.update(piece)
                disk.sync(file)
            digests.append(digest.hexdigest())
        if first_gone:
            disk.remove(first_gone)
        for path, temporary in temporaries.items():
            disk.rename(temporary, path)
    except BaseException:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        raise
    return digests


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a whole file, from a text or its pieces, so that it is either the old one or the new one, never a part."""
    parts = [text] if isinstance(text, str) else text
    write_pieces(path, (part.encode("utf-8") for part in parts))


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically. NaN is refused: a number we do not have is null."""
    write_text(path, _json(value, indent=1) + "\n")


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Write JSON Lines, atomically."""
    write_text(path, _lines(values))


def write_at_once(lines: Mapping[Path, Iterable[Any]], path: Path, value: Any) -> None:
    """Write files of JSON Lines, and the one of JSON that says what comes of them: it goes first and comes last, so
    where it is, it is of the others."""
    texts = {file: _lines(values) for file, values in lines.items()} | {path: [_json(value, indent=1) + "\n"]}
    _replace({file: (part.encode("utf-8") for part in parts) for file, parts in texts.items()}, first_gone=path)


def _lines(values: Iterable[Any]) -> Iterator[str]:
    return (_json(value) + "\n" for value in values)


def append_line(path: Path, value: Any) -> None:
    """Add one line of JSON and hand it to the system. Where that fails, nothing of it stays in the file.

    A last line that a crash has torn is cut off first: what followed it would be damaged too.
    """
    line = (_json(value) + "\n").encode("utf-8")
    with disk.open(path, "a+b") as file:
        before = _whole_lines(file)
        try:
            disk.write(file, line)
        except BaseException:
            file.truncate(before)
            raise


def _whole_lines(file: IO[bytes]) -> int:
    """Cut off what stands behind the last line end of a file; return the bytes that are left."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 1, 0))
    if file.read(1) in (b"", b"\n"):
        return size
    file.seek(0)
    whole = file.read().rfind(b"\n") + 1
    file.truncate(whole)
    return whole


class Lines:
    """A file that grows by lines. Those the disk does not take wait and go before the next one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: list[Any] = []
        self.failing = False

    def add(self, value: Any) -> str:
        """Add a line. Returns why it has to wait where that begins with it, else ""."""
        self.waiting.append(value)
        before = self.failing
        try:
            self.flush()
        except OSError as error:
            self.failing = True
            return "" if before else reason(error, self.path)
        self.failing = False
        return ""

    def flush(self) -> None:
        """Write what waits. Raises OSError where the disk still does not take it."""
        while self.waiting:
            append_line(self.path, self.waiting[0])
            self.waiting.pop(0)


@contextmanager
def mending(run: Path, how: str) -> Iterator[None]:
    """Inside, a write that fails is a Refusal that says why, and with ``how`` how to go on after mending it."""
    try:
        yield
    except BrokenPipeError:  # whoever read what we print has left
        raise
    except OSError as error:
        hint = how if run.exists() else t("runfolder.gone_hint")
        raise Refusal(t("runfolder.not_written", run=run, why=reason(error, run)), hint) from None


def has_cut_line(path: Path) -> bool:
    """Whether the last line of a file has no end."""
    return path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n")


def sync(path: Path) -> None:
    """Wait until the lines of a file, where there is one, are on the medium."""
    if path.is_file():
        with disk.open(path, "ab") as file:
            disk.sync(file)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill. When the block ends it is on the medium and is called ``target``; where it fails, it goes.

    A folder of that name is called ``target.old`` until the new one has its place: a process killed between the two
    leaves it so. The folder ``target`` stands in has to be there.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}{PART}")
    try:
        disk.remove(part)
        disk.make(part)
        yield part
        for path in sorted(part.rglob("*")):
            if path.is_file():
                with disk.open(path, "ab") as file:
                    disk.sync(file)
        disk.sync_folder(part)
        _exchange(part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _exchange(part: Path, target: Path) -> None:
    """Let a finished folder take the place of ``target``."""
    aside = target.with_name(target.name + ASIDE)
    if target.exists():
        remove_whole(aside)
        disk.rename(target, aside)
        try:
            disk.rename(part, target)
        except BaseException:
            os.replace(aside, target)
            raise
    else:
        disk.rename(part, target)
    disk.sync_folder(target.parent)
    remove_whole(aside)


def remove_whole(folder: Path) -> None:
    """Delete a folder so that it is there whole or not at all: what a kill leaves of it is for ``sweep``."""
    if folder.exists():
        part = folder.with_name(f".{folder.name}.{os.getpid()}{PART}")
        disk.rename(folder, part)
        disk.remove(part)


def sweep(folder: Path, age: float = 0) -> None:
    """Delete what killed processes left half written in a folder.

    age: seconds since it was last written to, at least; 0 where no other process writes there.
    """
    for path in folder.glob(f".*{PART}"):
        number = path.name[: -len(PART)].rpartition(".")[2]
        alive = number.isdigit() and psutil.pid_exists(int(number)) and int(number) != os.getpid()
        with suppress(OSError):  # another process sweeps too
            if not alive and time.time() - path.stat().st_mtime >= age:
                disk.remove(path)


def amount(size: float) -> str:
    """A number of bytes as people say it, in powers of ten like the hubs and the disks."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def reason(error: OSError, place: Path, needed: int | None = None) -> str:
    """Why a write failed, in the words of the system and, on a full disk, how much room there is and is missing.

    place: what was written, or a folder above it; needed: bytes that were to be written, where that is known.
    """
    why = of_system(error)
    if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return why
    there = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed is None:
        return t("runfolder.full", why=why, free=amount(free))
    missing = amount(max(needed - free, 0))
    return t("runfolder.missing", why=why, needed=amount(needed), free=amount(free), missing=missing)


# one process a run


def lock(run: Path) -> None:
    """Take a run for this process. A lock whose process no longer lives is taken over.

    Raises Refusal where another process has the run, or where the folder takes no file.
    """
    for _ in range(3):
        try:
            _write_lock(run / LOCK)
            return
        except FileExistsError:
            held = _holder(run / LOCK)
        except OSError as error:
            raise _no_writing(run, error) from None
        if held.get("host") != platform.node() and held:
            where = {"pid": held.get("pid"), "host": held.get("host")}
            raise Refusal(t("runfolder.held_elsewhere", run=run, **where), t("runfolder.held_hint", lock=run / LOCK))
        if held.get("pid") == os.getpid():
            return
        if _alive(held):
            raise Refusal(t("runfolder.held", run=run, pid=held["pid"]), t("runfolder.held_here_hint"))
        try:
            _take_away(run / LOCK, held)
        except OSError as error:
            raise _no_writing(run, error) from None
    raise Refusal(t("runfolder.held", run=run, pid="?"), t("runfolder.held_here_hint"))


def _no_writing(run: Path, error: OSError) -> Refusal:
    why = reason(error, run)
    return Refusal(t("runfolder.takes_nothing", run=run, why=why), t("runfolder.takes_nothing_hint"))


def _why_not(folder: Path) -> OSError:
    """Why a folder that is there takes no file."""
    read_only = hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY
    return OSError(errno.EROFS if read_only else errno.EACCES, "")


def busy(run: Path) -> int | None:
    """The other process of this machine that is working on a run."""
    held = _holder(run / LOCK)
    other = held.get("host") == platform.node() and held.get("pid") != os.getpid() and _alive(held)
    return int(held["pid"]) if other else None


def unlock(run: Path) -> None:
    """Give a run back, where this process has it."""
    with suppress(OSError):
        if _holder(run / LOCK).get("pid") == os.getpid():
            disk.remove(run / LOCK)


def _write_lock(path: Path) -> None:
    me = {"pid": os.getpid(), "began": psutil.Process().create_time(), "host": platform.node()}
    with disk.open(path, "xb") as file:
        try:
            disk.write(file, json.dumps(me).encode())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _holder(path: Path) -> dict[str, Any]:
    """Who has a lock; {} for one that says nothing, and whose writer so is dead."""
    for _ in range(20):
        with suppress(OSError, ValueError):
            found = json.loads(path.read_bytes())
            return found if isinstance(found, dict) else {}
        if not path.exists():
            break
        time.sleep(0.02)  # another process is writing it
    return {}


def _alive(held: dict[str, Any]) -> bool:
    """Whether the process that took a lock still lives, and is not another one with its number."""
    try:
        process = psutil.Process(int(held["pid"]))
        same: bool = abs(process.create_time() - float(held["began"])) < 60  # a clock that was set moves this time
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, KeyError, TypeError, ValueError):
        return False
    except psutil.AccessDenied:
        return True


def _take_away(path: Path, held: dict[str, Any]) -> None:
    """Remove a dead process's lock, and no other that took its place meanwhile."""
    aside = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    with suppress(FileNotFoundError):  # another process was faster
        disk.rename(path, aside)
        if _holder(aside) != held:
            disk.rename(aside, path)
        else:
            disk.remove(aside)


# reading


def read_json(path: Path) -> Any:
    """A JSON file; None where there is none. Raises Refusal naming a damaged one."""
    return _parse(_bytes(path), str(path)) if path.is_file() else None


def read_lines(path: Path, damaged: list[str] | None = None) -> list[Any]:
    """The values of a JSON Lines file; [] where there is none. A last line cut off by a crash is left out.

    damaged: gets ``file:line`` of each other line that is damaged; without it, Refusal names the first.
    """
    if not path.is_file():
        return []
    values = []
    for number, line in enumerate(_bytes(path).split(b"\n")[:-1], start=1):
        if not line.strip():
            continue
        try:
            values.append(_parse(line, f"{path}:{number}"))
        except Refusal:
            if damaged is None:
                raise
            damaged.append(f"{path}:{number}")
    return values


def _bytes(path: Path) -> bytes:
    """What a file holds. Raises Refusal where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        why = of_system(error)
        raise Refusal(t("runfolder.unreadable", place=path, why=why), t("runfolder.unreadable_hint")) from None


def _parse(text: bytes, place: str) -> Any:
    """A value of JSON in UTF-8. Raises Refusal naming its place where it is not that."""
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal(t("runfolder.damaged", place=place, why=error), t("runfolder.damaged_hint")) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def seal_of(value: Any) -> str:
    """SHA-256, in hex, of a value as JSON writes it in plain ASCII with its keys in order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()


def plain(value: Any) -> Any:
    """Dataclasses, enums, paths and tuples as JSON's own kinds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return getattr(value, "value", value)


def _json(value: Any, indent: int | None = None) -> str:
    """JSON in plain characters; escaped throughout where a lone surrogate has no UTF-8."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=indent, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(plain(value), ensure_ascii=True, indent=indent, allow_nan=False)
    return text
