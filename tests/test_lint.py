"""Lint and types, run by the same command as the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "words", [["ruff", "check", "."], pytest.param(["mypy"], marks=pytest.mark.slow)], ids=["ruff", "mypy"]
)
def test_nothing_to_complain_about(words: list[str]) -> None:
    command = [sys.executable, "-m", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)
    assert ran.returncode == 0, f"{' '.join(words)}:\n{ran.stdout[-6000:]}{ran.stderr[-2000:]}"
