"""``buke verify``: what a run was made of and its own files, against what is there now."""

from __future__ import annotations

import json
from pathlib import Path

from buke import runfolder
from buke.train.manifest import SAME, verify
from buke.words import t


def verify_run(runs: Path, name: str, as_json: bool) -> int:
    """Print one line a part; 0 where all are the same, else 1. Raises Refusal where there is no manifest."""
    run = runfolder.find(runs, name)
    parts = verify(run)
    same = all(part.state == SAME for part in parts)
    if as_json:
        told = {"run": str(run), "same": same, "parts": [runfolder.plain(part) for part in parts]}
        print(json.dumps(told, ensure_ascii=False))
    else:
        for part in parts:
            print(f"{t(f'train.state_{part.state}')}  {part.name}" + (f": {part.what}" if part.what else ""))
        print(t("cli.verify_same" if same else "cli.verify_other", n=sum(part.state != SAME for part in parts)))
    return 0 if same else 1
