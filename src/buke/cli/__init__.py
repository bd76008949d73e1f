"""Room `cli`: the doors: arguments, printing, exit codes. Heavy rooms are imported inside commands.

Data goes to stdout; progress, log and errors to stderr. Exit codes: 0 done, 1 a fault of ours, 2 something to mend,
130 interrupted, 143 asked to end, 129 terminal closed; where a command's answer is no (doctor, verify, train --again)
it ends with 1, too. With --json an error is an object on stdout as well, the same for every command: error, hint,
details, code, and the figures that the refusal has.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from typing import Any

from buke import words
from buke.words import Refusal, t


def main() -> None:
    """The command ``buke``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an old console must not stop a run
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    code: int | str | None = 0
    asked, as_json = "", "--json" in arguments[: (*arguments, "--").index("--")]
    _end_when_asked()
    try:
        from buke.cli import commands
        from buke.cli.common import common

        words.set_language(words.language_from_environment())
        arguments, shared = common(arguments)
        if shared.lang:
            words.set_language(shared.lang)
        _printable()
        asked = next((word for word in arguments if not word.startswith("-")), "")
        code = commands.app(shared, asked)(arguments, prog_name="buke", standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C, without a word
            raise KeyboardInterrupt
    except Refusal as refusal:
        return _refuse(refusal, as_json)
    except SystemExit as end:  # 1 is what typer makes of a reader of our output that left, as `| head` does
        left = end.code == 1 and isinstance(end.__context__, BrokenPipeError)
        code = 0 if left else end.code
    except KeyboardInterrupt:
        print(f"\n{t('cli.interrupted')}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        _write_nowhere()
        return 0
    except OSError as error:
        if os.environ.get("BUKE_DEBUG"):
            traceback.print_exc()
        return _refuse(Refusal(_file_trouble(error), t("cli.file_hint")), as_json)
    except Exception as error:
        if type(error).__name__ == "Abort":  # typer's word for Ctrl-C
            print(f"\n{t('cli.interrupted')}", file=sys.stderr)
            return 130
        if hasattr(error, "format_message"):  # typer's word for a command line it cannot read
            return _usage(error, asked, as_json)
        if os.environ.get("BUKE_DEBUG"):
            traceback.print_exc()
        return _refuse(Refusal(t("cli.fault", kind=type(error).__name__, why=error), t("cli.fault_hint")), as_json, 1)
    return code if isinstance(code, int) else 0 if code is None else 1


def _end_when_asked() -> None:
    """Let SIGTERM end the command as an exception does, so that nothing is left half written."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda which, _: sys.exit(128 + which))


def _file_trouble(error: OSError) -> str:
    """What the system refused, and of which file where it says so."""
    why = words.of_system(error)
    return t("cli.file", file=error.filename, why=why) if error.filename else t("cli.output", why=why)


def _printable() -> None:
    """Speak English, and say so, where the output has no Chinese: question marks would tell nobody anything."""
    if words.language() == "zh" and not can_write("中文"):
        words.set_language("en")
        print(t("cli.no_chinese", encoding=sys.stdout.encoding), file=sys.stderr)


def can_write(text: str) -> bool:
    """Whether standard output has all these characters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "surrogatepass")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _usage(error: Any, asked: str, as_json: bool) -> int:
    """An unknown flag or command, a missing argument; or no words at all, which asks for help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.ctx.get_help(), file=sys.stderr)
        return 2
    from buke.cli.usage import refusal_of

    return _refuse(refusal_of(error, asked), as_json)


def _refuse(refusal: Refusal, as_json: bool, code: int = 2) -> int:
    """Say it, to a program too where one reads; the exit code."""
    complain(refusal)
    if as_json:
        told = {"error": refusal.message, "hint": refusal.hint, "details": list(refusal.details), "code": code}
        text = json.dumps(told | refusal.figures, ensure_ascii=False)
        try:
            print(text if can_write(text) else json.dumps(told | refusal.figures), flush=True)
        except OSError:  # nobody reads it, or a disk is full; the exit code stays
            _write_nowhere()
    return code


def _write_nowhere() -> None:
    """Let what is still to be written, at the end of Python too, raise no more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(refusal: Refusal) -> None:
    """One sentence, the details under it, and how to mend it."""
    print(t("cli.error", message=refusal.message), file=sys.stderr)
    for detail in refusal.details:
        print(f"  {detail}", file=sys.stderr)
    if refusal.hint:
        print(t("cli.hint", message=refusal.hint), file=sys.stderr)
