"""Fuzzes the parsers of the room `intake` with atheris (pip install atheris): only Refusal may come out.

    python bench/fuzz_intake.py [-runs=100000] [-max_total_time=600] [-rss_limit_mb=2048] [CORPUS_FOLDER]

Options are libFuzzer's. An input that brings anything else, takes over 10 seconds or too much memory is written to a
file crash-…, timeout-… or oom-… in the current folder. With ``--big`` instead: one line of 2 GB in several forms, and
the time and memory that each takes.
"""

from __future__ import annotations

import contextlib
import gzip
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

SEEDS = [
    '{"question": "患者", "thought": "先", "answer": "休息"}\n'.encode() * 2,
    '{"question": "患者头痛三天", "thought": "先排除", "answer": "休息"}\n'.encode("gbk"),
    '{"a": [1, {"b": null}], "a" : NaN}\n'.encode("utf-16"),
    b'[{"messages": [{"role": "user", "content": "q"}]}]',
    b'{"data": [{"question": "q"}]}',
    b'question,thought,answer\n"q ""x""",t,a\n',
    b"q\tt\ta\n",
]


def fuzz() -> None:
    """Run atheris until its options say stop."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed\nhint: pip install atheris (Linux and macOS)")
    with atheris.instrument_imports(include=["buke", "json", "csv", "zipfile", "openpyxl"]):
        from buke.intake import read
        from buke.words import Refusal
    folder = Path(tempfile.mkdtemp(prefix="fuzz-intake-"))
    path, corpus = folder / "d", folder / "seeds"
    corpus.mkdir()
    for i, seed in enumerate(SEEDS):
        (corpus / str(i)).write_bytes(seed)

    def one(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(Refusal):
            read([path])

    atheris.Setup([*sys.argv, str(corpus), "-timeout=10"], one)
    atheris.Fuzz()


def big() -> None:
    """A line of 2 GB as JSON Lines, array, table and in gzip: seconds and peak memory, each in a new process."""
    for begin in ('{"question": "', '["', "question,thought,answer\nq,", "x"):
        for opener in (open, gzip.open):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "d"
                with opener(path, "wb") as file:
                    file.write(begin.encode())
                    for _ in range(2048):
                        file.write(b"x" * (1 << 20))
                label = f"{opener.__module__.strip('_')} {begin[:14]!r}: {path.stat().st_size >> 20} MB"
                sys.stdout.write(f"{label}, ")
                sys.stdout.flush()
                subprocess.run([sys.executable, __file__, "--one", str(path)], check=True)


def one_big(path: Path) -> None:
    """Read a file, and print the time, the peak memory and what was found."""
    from buke.intake.formats import open_content
    from buke.intake.names import KNOWN

    start = time.perf_counter()
    content = open_content(path, KNOWN)
    kinds = {raw.finding.kind for raw in content.rows if raw.finding} | {finding.kind for finding in content.findings}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{time.perf_counter() - start:.1f} s, peak {peak} MB, {', '.join(kinds)}")


if __name__ == "__main__":
    if "--one" in sys.argv:
        one_big(Path(sys.argv[-1]))
    elif "--big" in sys.argv:
        big()
    else:
        fuzz()
