"""`buke doctor`: what it makes of machines that are not this one, and of this one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from buke import hub, machine, words
from buke.cli import doctor, run
from buke.cli.doctor import BAD, GB, OK, WARN, Card, Check

ROOT = Path(__file__).resolve().parents[1]
SMI = """NVIDIA GeForce RTX 4090, 581.42, 8.9, 24564, 23010
Tesla K80, 470.82.01, 3.7, 11441, 11439
Odd, name, 525.60.13, [N/A], 8192, [N/A]
"""


def card(driver: int = 581, capability: float = 8.9, free: int = 20 * GB) -> Card:
    return Card("RTX", driver, capability, 24 * GB, free)


# --- what others' machines tell


def test_what_nvidia_smi_says_is_understood() -> None:
    first, second, third = doctor.parse_cards(SMI + "NVIDIA-SMI has failed\n\n")
    assert first == Card("NVIDIA GeForce RTX 4090", 581, 8.9, 24564 << 20, 23010 << 20)
    assert (second.driver, second.capability) == (470, 3.7)
    assert third == Card("Odd, name", 525, 0.0, 8192 << 20, 0)


@pytest.mark.skipif(os.name != "posix", reason="a stand-in for a program, as POSIX runs one")
def test_the_cards_of_this_machine_are_asked_of_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncase \"$1\" in --query-gpu=*) cat <<'X'\n{SMI}X\n;; esac\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert [each.name for each in doctor.cards_now()] == ["NVIDIA GeForce RTX 4090", "Tesla K80", "Odd, name"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert doctor.cards_now() == []


@pytest.mark.parametrize(
    ("build", "cards", "state", "told", "repair"),
    [
        (("2.13.0+cpu", None), (), OK, "no NVIDIA card", ""),
        (None, (), BAD, "torch", "pip install torch"),
        (None, (card(),), BAD, "torch", "cu130"),
        (("2.13.0+cpu", None), (card(),), BAD, "leaves RTX idle", "cu130"),
        (("2.13.0+cpu", None), (card(driver=550),), BAD, "idle", "cu126"),
        (("2.13.0+cpu", None), (card(capability=6.1),), BAD, "idle", "cu126"),
        (("2.13.0+cu130", "13.0"), (card(driver=550),), BAD, "driver 550 of RTX does not know", "cu126"),
        (("2.13.0+cu126", "12.6"), (card(driver=470),), BAD, "too old", "nvidia.com"),
        (("2.13.0+cu126", "12.6"), (card(capability=12.0),), BAD, "compute capability 12.0", "cu130"),
        (("2.13.0+cu130", "13.0"), (card(capability=6.1),), BAD, "compute capability 6.1", "cu126"),
        (("2.13.0+cu130", "13.0"), (card(capability=3.7), card()), OK, "computes on RTX", ""),
        (("2.13.0+cu126", "12.6"), (card(capability=0.0),), OK, "computes on RTX", ""),
    ],
)
def test_the_build_of_torch_against_card_and_driver(
    build: tuple[str, str | None] | None, cards: tuple[Card, ...], state: str, told: str, repair: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(doctor, "_cuda_fails", lambda: "")
    check = doctor.torch_check(build, cards)
    assert check.state == state
    assert told in check.text
    assert repair in check.repair
    assert bool(repair) == bool(check.repair)


def test_a_card_that_does_not_compute_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_cuda_fails", lambda: "CUDA error: unknown")
    check = doctor.torch_check(("2.13.0+cu130", "13.0"), (card(),))
    assert check.state == BAD
    assert "CUDA error: unknown" in check.text


def test_versions_libraries_and_memory() -> None:
    assert doctor.python_check((3, 9, 1), True).state == BAD
    assert doctor.python_check((3, 12, 1), False).state == BAD
    assert doctor.python_check((3, 10, 0), True).state == OK
    good: dict[str, str | None] = dict.fromkeys(doctor.REQUIRED, "5.1.0")
    assert doctor.libraries_check(good).state == OK
    missing = doctor.libraries_check(good | {"gguf": None, "peft": None})
    assert missing.state == BAD
    assert missing.repair.endswith("pip install peft gguf")
    assert doctor.libraries_check(good | {"transformers": "5.6.0"}).state == BAD
    states = [doctor.memory_check(32 * GB, free, None).state for free in (8 * GB, 2 * GB, GB // 2)]
    assert states == [OK, WARN, BAD]
    assert "container may use 8 GB" in doctor.memory_check(32 * GB, 5 * GB, 8 * GB).text
    assert "container" not in doctor.memory_check(32 * GB, 5 * GB, None).text
    assert doctor.card_check(card()).state == OK
    assert doctor.card_check(card(free=5 * GB)).repair == "nvidia-smi"
    formats = [doctor.precision_check(cards).text for cards in ((), (card(capability=7.5),), (card(),))]
    assert [
        words in text for words, text in zip(("else fp32", "fp16 is used", "bf16, which"), formats, strict=True)
    ] == [True] * 3


def test_the_control_group_that_leaves_least_memory_counts(tmp_path: Path) -> None:
    def group(path: str, most: str, used: int, cache: int, names: tuple[str, str, str]) -> None:
        folder = tmp_path / "sys/fs/cgroup" / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in zip(names, (most, str(used), f"inactive_file {cache}\n"), strict=True):
            (folder / name).write_text(text)

    assert machine.memory_limit(tmp_path) == (None, 0)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/user/me\n")
    newer = ("memory.max", "memory.current", "memory.stat")
    group("user/me", "max\n", 5, 1, newer)
    assert machine.memory_limit(tmp_path) == (None, 0)
    group("user", "4000\n", 700, 300, newer)
    assert machine.memory_limit(tmp_path) == (4000, 400)
    group("user/me", "3000", 700, 0, newer)
    assert machine.memory_limit(tmp_path) == (3000, 700)
    group("user", "4000\n", 3900, 300, newer)
    assert machine.memory_limit(tmp_path) == (4000, 3600)
    (tmp_path / "sys/fs/cgroup/user/memory.stat").write_text("active_file 3000\ninactive_file 300\n")
    assert machine.memory_limit(tmp_path) == (3000, 700)
    older = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    (tmp_path / "proc/self/cgroup").write_text("3:cpu:/x\n2:memory:/x\n")
    group("memory/x", "9223372036854771712", 5, 0, older)
    assert machine.memory_limit(tmp_path) == (None, 0)
    group("memory/x", "2000", 900, 500, older)
    assert machine.memory_limit(tmp_path) == (2000, 400)


def test_a_place_that_cannot_be_written_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert doctor.disk_check("runs", tmp_path / "file" / "runs", "mend").state == BAD
    assert doctor.disk_check("runs", tmp_path / "not" / "yet", "mend").state in (OK, WARN)
    assert not (tmp_path / "not").exists()


def test_hubs_that_answer_and_that_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr("buke.hub.wire.PATIENCE", 0.3)
        silent = doctor.hub_check("huggingface")  # it takes the connection and says nothing
    closed = doctor.hub_check("huggingface")
    for check in (silent, closed):
        assert check.state == WARN
        assert "127.0.0.1" in check.text
        assert check.repair == "buke get … --from modelscope"
    monkeypatch.setenv("HF_ENDPOINT", "nonsense")
    assert "no address" in doctor.hub_check("huggingface").text
    monkeypatch.setattr(doctor, "reach", lambda url: None)
    monkeypatch.delenv("HF_ENDPOINT")
    assert doctor.hub_check("huggingface").state == OK


# --- this machine


def test_exit_code_json_and_both_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "cards_now", list)
    found = {}
    for lang in ("en", "zh"):
        code = run(["doctor", "--json", "--lang", lang])
        told = json.loads(capsys.readouterr().out)
        assert told["ok"] == (code == 0) == all(check["state"] != BAD for check in told["checks"])
        assert all(check["repair"] or check["state"] == OK for check in told["checks"])
        found[lang] = [(check["name"], check["state"]) for check in told["checks"]]
    assert found["en"] == found["zh"]
    names = [name for name, _ in found["en"]]
    assert {"python", "libraries", "torch", "memory", "runs", "cache", "pyarrow", "embedded"} <= set(names)
    assert not set(names) & {"huggingface", "modelscope"}  # nothing is asked of the network
    monkeypatch.setattr(doctor, "_torch_build", lambda: None)
    assert run(["doctor"]) == 1
    assert "bad   PyTorch: not installed: torch  ->  " in capsys.readouterr().out
    assert run(["doctor", "--json"]) == 1
    assert [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]] == names  # whatever is found
    assert list(tmp_path.iterdir()) == []


def test_torch_is_not_imported_to_look_at_it() -> None:
    code = "import sys; from buke.cli import run; code = run(['doctor']); print('torch' in sys.modules); sys.exit(code)"
    settings = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": "", "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, encoding="utf-8",
                         timeout=60, check=False)  # fmt: skip
    assert ran.returncode in (0, 1), ran.stderr
    assert "PyTorch: " in ran.stdout
    assert ran.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_narrow_terminal_gets_no_line_too_long(
    lang: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words.set_language(lang)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    checks = [
        Check(
            "memory", WARN, words.t("doctor.memory_text", free="2 GB", all="16 GB") * 3, "buke train … --batch 1 " * 3
        ),
        doctor.torch_check(("2.13.0+cpu", None), (card(),)),
    ]
    doctor.show(checks)
    out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert "pip" in out.replace("\n", "")
    lines = out.splitlines()
    assert len(lines) > 4
    wide = [sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line.rstrip()) for line in lines]
    assert max(wide) <= 40


def test_the_cache_it_speaks_of_is_the_cache() -> None:
    assert str(hub.cache_folder()) in doctor.disk_check("cache", hub.cache_folder(), "").text
