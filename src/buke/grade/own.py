"""Room `grade`, own: grading by the user's own Python file, which runs only where the user names it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from buke.records import Record, Verdict
from buke.words import Refusal, of_system, t


class _SourceOnly(SourceFileLoader):
    """Loads the source itself: no byte code is read or written beside the user's file."""

    def path_stats(self, path: str) -> Any:
        raise OSError


def python_judge(file: str | Path | None) -> Callable[[Record, str], Verdict]:
    """The user's own ``grade(question, reference, answer) -> bool | None``. It runs with the user's rights."""
    if not file:
        raise Refusal(t("grade.no_file"), t("grade.python_hint"))
    function = getattr(_load(Path(file)), "grade", None)
    if not callable(function):
        raise Refusal(t("grade.no_function", file=file), t("grade.python_hint"))

    def judge(record: Record, text: str) -> Verdict:
        try:
            value = function(record.question, record.answer, text)
        except (Exception, SystemExit) as error:
            place = _place(file, error)
            raise Refusal(t("grade.raised", place=place, source=record.source, error=_named(error))) from error
        if value is None:
            return Verdict.UNSCORED
        if type(value).__name__ not in ("bool", "bool_"):  # numpy's booleans are booleans too
            message = t("grade.not_a_verdict", file=file, value=repr(value)[:80], source=record.source)
            raise Refusal(message, t("grade.python_hint"))
        return Verdict.RIGHT if value else Verdict.WRONG

    return judge


def _load(path: Path) -> ModuleType:
    """The file as a module of its own name. Raises Refusal where it is missing or stops."""
    try:
        path.read_bytes()
    except OSError as error:
        raise Refusal(t("grade.missing_file", file=path, why=of_system(error)), t("grade.python_hint")) from None
    name = f"buke_user_grader_{sha256(str(path.resolve()).encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
    loader = _SourceOnly(name, str(path))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in the file look their module up
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise Refusal(t("grade.load_failed", place=_place(path, error), error=_named(error))) from error
    return module


def _place(file: str | Path, error: BaseException) -> str:
    """``file:line`` of the last line of the user's file that was running."""
    if isinstance(error, SyntaxError) and error.filename == str(file) and error.lineno:
        return f"{file}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{file}:{lines[-1]}" if lines else str(file)


def _named(error: BaseException) -> str:
    """The kind and first line of an error."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
