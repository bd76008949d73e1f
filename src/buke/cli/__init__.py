"""Room `cli`: the doors: arguments, printing, exit codes. Heavy rooms are imported inside commands.

Data goes to stdout; progress, log and errors to stderr. Exit codes: 0 done, 1 a fault of ours, 2 something to mend,
130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback

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
    try:
        from buke.cli import commands, flags

        words.set_language(words.language_from_environment())
        arguments, common = flags.common(arguments)
        if common.lang:
            words.set_language(common.lang)
        commands.app(common)(arguments, prog_name="buke", standalone_mode=True)
    except Refusal as refusal:
        complain(refusal)
        return 2
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        print(f"\n{t('cli.interrupted')}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("BUKE_DEBUG"):
            traceback.print_exc()
        complain(Refusal(t("cli.fault", kind=type(error).__name__, why=error), t("cli.fault_hint")))
        return 1
    return code if isinstance(code, int) else 0 if code is None else 1


def complain(refusal: Refusal) -> None:
    """One sentence, the details under it, and how to mend it."""
    print(f"{t('cli.error')}: {refusal.message}", file=sys.stderr)
    for detail in refusal.details:
        print(f"  {detail}", file=sys.stderr)
    if refusal.hint:
        print(f"{t('cli.hint')}: {refusal.hint}", file=sys.stderr)
