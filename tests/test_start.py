"""start.py: what it decides, what it says, and what it does to an environment. No package is installed here."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import start

ROOT = Path(__file__).resolve().parents[1]
CPU, CU126, CU130 = (("--index-url", f"https://download.pytorch.org/whl/{name}") for name in ("cpu", "cu126", "cu130"))
LOCAL, PLAIN = ("--no-index",), ()
NEW, OLD, TOO_OLD = start.Gpu(580, 8.6), start.Gpu(550, 8.6), start.Gpu(470, 7.5)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    monkeypatch.setattr(sys, "argv", ["start.py"])
    monkeypatch.delenv("BUKE_TORCH_INDEX", raising=False)


def test_an_old_python_can_read_the_file() -> None:
    ast.parse((ROOT / "start.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_only_the_standard_library_is_imported() -> None:
    tree = ast.parse((ROOT / "start.py").read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)


# ---- which PyTorch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "gpu", "expected"),
    [
        ("linux", None, [LOCAL, CPU, PLAIN]),
        ("linux", NEW, [LOCAL, PLAIN]),
        ("linux", OLD, [LOCAL, CU126, PLAIN]),
        ("linux", start.Gpu(580, 6.1), [LOCAL, CU126, PLAIN]),  # a Pascal card: CUDA 13 no longer knows it
        ("linux", start.Gpu(580, None), [LOCAL, PLAIN]),
        ("linux", TOO_OLD, [LOCAL, CPU, PLAIN]),
        ("win32", None, [LOCAL, PLAIN]),
        ("win32", NEW, [LOCAL, CU130, PLAIN]),
        ("win32", OLD, [LOCAL, CU126, PLAIN]),
        ("win32", TOO_OLD, [LOCAL, PLAIN]),
        ("darwin", None, [LOCAL, PLAIN]),
    ],
)
def test_the_place_of_pytorch_follows_the_machine(
    system: str, gpu: start.Gpu | None, expected: list[tuple[str, ...]]
) -> None:
    assert [source.options for source in start.torch_sources(system, gpu, "")] == expected


def test_a_fallback_that_costs_something_is_announced() -> None:
    assert [source.notice for source in start.torch_sources("linux", None, "")] == ["", "", "plain"]
    assert [source.notice for source in start.torch_sources("linux", NEW, "")] == ["", ""]


def test_an_index_of_the_user_is_the_only_place() -> None:
    sources = start.torch_sources("linux", NEW, "https://mirror.example/rocm")
    assert [source.options for source in sources] == [("--index-url", "https://mirror.example/rocm")]


@pytest.mark.parametrize(
    ("text", "gpu"),
    [
        ("580.65.06, 8.6\n", start.Gpu(580, 8.6)),
        ("551.23, 6.1\n551.23, 8.9\n", start.Gpu(551, 8.9)),
        ("470.82.01\n", start.Gpu(470, None)),
        ("550.54, [N/A]\n", start.Gpu(550, None)),
        ("No devices were found\n", None),
        ("", None),
    ],
)
def test_the_answer_of_nvidia_smi_is_read(text: str, gpu: start.Gpu | None) -> None:
    assert start.parse_gpu(text) == gpu


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for nvidia-smi is a shell script")
def test_a_card_is_found_through_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for nvidia-smi of an old driver, which refuses the field compute_cap."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\ncase "$1" in *compute_cap*) exit 2;; esac\necho 470.82.01\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert start.nvidia_seen()
    assert start.find_gpu() == start.Gpu(470, None)


def test_no_card_is_found_where_nothing_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(start, "WSL_SMI", str(tmp_path / "none"))
    monkeypatch.setattr(start, "DRIVER_FILE", tmp_path / "version")
    assert not start.nvidia_seen()
    assert start.find_gpu() is None
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 2025\n")
    assert start.nvidia_seen()
    assert start.find_gpu() == start.Gpu(580, None)


# ---- the stamp ------------------------------------------------------------------------------------------------------


def fine(**changes: object) -> dict[str, object]:
    return {"tag": start.python_tag(), "nvidia": False, "index": "", "busy": False, **changes}


@pytest.mark.parametrize(
    ("state", "nvidia", "index", "reason"),
    [
        ({}, False, "", ""),
        (fine(), False, "", ""),
        (fine(tag="cpython-39 linux"), False, "", "python"),
        (fine(busy=True), False, "", "busy"),
        (fine(), True, "", "torch"),
        (fine(nvidia=True), False, "", ""),  # a shell without nvidia-smi on its PATH
        (fine(), False, "https://mirror.example", "torch"),
        (fine(index="https://mirror.example"), False, "", ""),
    ],
)
def test_when_an_environment_is_made_anew(state: dict[str, object], nvidia: bool, index: str, reason: str) -> None:
    assert start.why_anew(state, nvidia, index) == reason


def test_every_requirement_file_counts(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("a==1\n")
    (tmp_path / "requirements-dev.txt").write_text("b==1\n")
    before = start.wanted(tmp_path, test=True)
    assert start.wanted(tmp_path, test=False) == {"core": before["core"]}
    (tmp_path / "requirements-dev.txt").write_text("b==2\n")
    assert start.wanted(tmp_path, test=True)["core"] == before["core"]
    assert start.wanted(tmp_path, test=True)["test"] != before["test"]
    (tmp_path / "requirements.txt").write_text("a==2\n")
    assert start.wanted(tmp_path, test=False)["core"] != before["core"]


def test_a_broken_note_counts_as_none(tmp_path: Path) -> None:
    assert start.read_state(tmp_path) == {}
    for text in ("", "{", "[1]", "\x00"):
        (tmp_path / start.STATE).write_text(text)
        assert start.read_state(tmp_path) == {}
    start.write_state(tmp_path, fine())
    assert start.read_state(tmp_path) == fine()
    assert [path.name for path in tmp_path.iterdir()] == [start.STATE]


def test_an_environment_that_fits_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("")
    venv = tmp_path / ".venv"
    start.venv_python(venv).parent.mkdir(parents=True)
    start.venv_python(venv).touch()
    (venv / "pyvenv.cfg").touch()
    state = fine(nvidia=True, done=start.wanted(tmp_path, test=True))
    start.write_state(venv, state)
    files = sorted(venv.rglob("*"))
    start.set_up(tmp_path, venv, test=True)
    assert sorted(venv.rglob("*")) == files
    assert start.read_state(venv) == state
    assert capsys.readouterr() == ("", "")


def test_an_environment_of_somebody_else_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(start.SetupError, match=r"was not made by start\.py"):
        start.make_venv(tmp_path, anew=False)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_python_that_is_no_environment_of_its_own_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-removed .venv still has a python, which would install into the Python it came from."""
    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(start, "venv_python", lambda venv: Path(sys.executable))
    with pytest.raises(start.SetupError, match=r"was not made by start\.py"):
        start.make_venv(tmp_path, anew=False)


def test_making_anew_that_is_interrupted_is_known_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at every possible removal: the note that this is ours and unfinished must survive."""
    for name in ("a", "bin", "lib", "z"):
        (tmp_path / name).mkdir()
    start.write_state(tmp_path, fine())

    def interrupted(path: Path) -> None:
        path.rmdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    for left in (3, 2, 1, 0):
        with pytest.raises(KeyboardInterrupt):
            start.make_venv(tmp_path, anew=True)
        assert len(list(tmp_path.iterdir())) == left + 1
        assert start.why_anew(start.read_state(tmp_path), False, "") == "busy"


@pytest.mark.parametrize("missing", ["pyvenv.cfg", "python"])
def test_a_broken_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("")
    venv, made = tmp_path / ".venv", []
    parts = {"pyvenv.cfg": venv / "pyvenv.cfg", "python": start.venv_python(venv)}
    parts["python"].parent.mkdir(parents=True)
    for part in parts.values():
        part.touch()
    parts[missing].unlink()
    start.write_state(venv, fine(nvidia=True, done=start.wanted(tmp_path, test=True)))

    def make(where: Path, anew: bool) -> None:
        made.append((where, anew))
        raise start.SetupError("fail.venv", log="")

    monkeypatch.setattr(start, "make_venv", make)
    with pytest.raises(start.SetupError):
        start.set_up(tmp_path, venv, test=True)
    assert made == [(venv, True)]


# ---- pip ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "short", "own_line"),
    [
        ("Collecting torch==2.13.0", "torch", False),
        ("Collecting huggingface-hub<3,>=1.0 (from transformers)", "huggingface-hub", False),
        ("Processing c:\\some where\\torch-2.13.0+cpu-cp311-cp311-win_amd64.whl", "torch", False),
        ("Processing /some where/six-1.17.0-py3-none-any.whl (from -r /a/b.txt (line 9))", "six", False),
        ("  Downloading transformers-5.23.0-py3-none-any.whl (41.2 MB)", "transformers 41.2 MB", True),
        ("  Downloading https://host/x/torch-2.13.0%2Bcpu-cp312-linux.whl (184.0 MB)", "torch 184.0 MB", True),
        ("  Using cached six-1.17.0-py2.py3-none-any.whl (11 kB)", "six 11 kB", False),
        ("  Downloading pydantic-2.14.3-py3-none-any.whl.metadata (88 kB)", "", False),
        ("Installing collected packages: mpmath, torch, sympy", "unpacking (packages: 3)", True),
        ("WARNING: something odd", "", False),
    ],
)
def test_the_gist_of_a_pip_line(line: str, short: str, own_line: bool) -> None:
    assert start.condense(line) == (short, own_line)


@pytest.mark.parametrize(
    ("log", "key"),
    [
        ("Retrying after connection broken by 'NewConnectionError'\nNo matching distribution found", "network"),
        ("ReadTimeoutError: HTTPSConnectionPool: Read timed out.", "network"),
        ("ERROR: No matching distribution found for torch==2.13.0", "match"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk"),
        ("Something else", "other"),
    ],
)
def test_a_failure_gets_the_sentence_that_fits(log: str, key: str) -> None:
    assert start.failure(log) == "fail." + key


def test_settings_that_would_send_packages_elsewhere_are_dropped() -> None:
    kept = start.pip_environment(
        {"PIP_TARGET": "/x", "PIP_USER": "1", "PYTHONPATH": "/y", "PIP_INDEX_URL": "https://m"}
    )
    assert "PIP_TARGET" not in kept
    assert "PYTHONPATH" not in kept
    assert kept["PIP_REQUIRE_VIRTUALENV"] == "1"
    assert kept["PIP_USER"] == "0"
    assert kept["PIP_INDEX_URL"] == "https://m"


@pytest.fixture
def bare_venv(tmp_path: Path) -> Path:
    """A real environment that borrows the running Python's packages, pip among them: made in a moment, offline."""
    venv = tmp_path / "补课 dir" / ".venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(venv)], check=True, timeout=60
    )
    return venv


def test_src_is_found_also_after_the_folder_has_moved(bare_venv: Path) -> None:
    root = bare_venv.parent
    (root / "src" / "buke").mkdir(parents=True)
    (root / "src" / "buke" / "__init__.py").write_text("where = __file__\n")
    start.link_project(root, bare_venv)
    moved = root.with_name("又 moved")
    root.rename(moved)
    command = [str(start.venv_python(moved / ".venv")), "-X", "utf8", "-c", "import buke; print(buke.where)"]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(command, capture_output=True, timeout=60, check=True, cwd=moved, env=environ)
    assert Path(ran.stdout.decode("utf-8").strip()) == moved / "src" / "buke" / "__init__.py"


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="pip is run in the environment the tests run in")
def test_a_package_that_cannot_be_had_is_one_sentence_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip itself is run, on an empty folder and without an index, so nothing is fetched."""
    pytest.importorskip("pip")
    monkeypatch.setattr(start, "venv_python", lambda venv: Path(sys.executable))
    progress = start.Progress(1, live=False)
    progress.step("core")
    pip = start.Pip(tmp_path, fine(), progress)
    with pytest.raises(start.SetupError) as raised:
        pip.must("core", "--no-index", "--find-links", str(tmp_path), "no-such-package==1.0")
    sentence = r"buke: no fitting package was found while installing libraries \(log: .*\)\."
    assert re.fullmatch(sentence, str(raised.value))
    assert raised.value.hint
    assert "no-such-package" in (tmp_path / "install.log").read_text(encoding="utf-8")
    assert start.read_state(tmp_path)["busy"] is False
    assert capsys.readouterr().err == "[1/1] libraries\n"


# ---- what the user sees ---------------------------------------------------------------------------------------------


def test_every_text_is_there_twice_with_the_same_names() -> None:
    for key, (english_text, chinese_text) in start.TEXTS.items():
        assert english_text, key
        assert chinese_text, key
        assert set(re.findall(r"{\w+}", english_text)) == set(re.findall(r"{\w+}", chinese_text)), key
        assert not re.search(r"[,;()]|:(?!//)", chinese_text), key  # Chinese has signs of its own


@pytest.mark.parametrize(
    ("environ", "arguments", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, [], "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, [], "en"),
        ({"LANG": "zh_CN.UTF-8"}, ["demo", "--lang", "en"], "en"),
        ({"LANG": "en_GB.UTF-8"}, ["--lang=zh", "demo"], "zh"),
        ({"LANG": "en_GB.UTF-8"}, ["demo", "--lang"], "en"),
    ],
)
def test_the_language_is_that_of_buke(environ: dict[str, str], arguments: list[str], expected: str) -> None:
    assert start.language(environ, arguments) == expected


def test_the_line_in_a_terminal_is_rewritten_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "30")
    progress = start.Progress(4, live=True)
    progress.step("core")
    progress.show("transformers 41.2 MB and more that does not fit")
    progress.put("")
    writes = screen.getvalue().split("\r")
    assert "\n" not in screen.getvalue()
    assert all(len(write) < 30 for write in writes)
    assert writes[2].startswith("[1/4] libraries  transformer")
    assert writes[3].strip() == ""


MANY = ["-m", "pytest", "-n", "auto", "--dist", "worksteal"]  # a process for each core


@pytest.mark.parametrize(
    ("arguments", "tail"),
    [
        (["test", "-q", "-x"], [*MANY, "-q", "-x"]),
        (["test", "-m", "not slow"], [*MANY, "-m", "not slow"]),
        (["test", "tests/test_words.py", "-q"], ["-m", "pytest", "tests/test_words.py", "-q"]),
        (["test", "-n0"], ["-m", "pytest", "-n0"]),
        (["demo"], ["-m", "buke", "demo"]),
        (["train", "my data.jsonl"], ["-m", "buke", "train", "my data.jsonl"]),
        ([], ["-m", "buke", "--help"]),
        (["--lang", "zh", "test", "-q"], [*MANY, "-q"]),
        (["--lang=zh", "--runs", "r", "test"], MANY),
        (["--runs", "test", "demo"], ["-m", "buke", "--runs", "test", "demo"]),
        (["--lang"], ["-m", "buke", "--lang"]),
    ],
)
def test_words_go_where_they_belong(arguments: list[str], tail: list[str]) -> None:
    words = start.command(arguments, Path("python"))
    assert words[0] == "python"
    assert words[-len(tail) :] == tail


@pytest.mark.parametrize(
    ("script", "system", "expected"),
    [
        ("start.py", "posix", "python3 start.py"),
        ("../my tools/start.py", "posix", "python3 '../my tools/start.py'"),
        ("start.py", "nt", "py start.py"),
        ("my tools\\start.py", "nt", 'py "my tools\\start.py"'),
    ],
)
def test_hints_can_name_what_the_user_types(script: str, system: str, expected: str) -> None:
    assert start.typed(script, system) == expected


@pytest.mark.parametrize(("arguments", "told"), [(["demo"], "python3 start.py"), (["--lang", "en", "test"], None)])
def test_buke_is_told_what_the_user_typed(
    arguments: list[str], told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUKE_COMMAND", "from outside")
    monkeypatch.setattr(os, "name", "posix")
    monkeypatch.setattr(sys, "argv", ["start.py", *arguments])
    monkeypatch.setattr(start, "set_up", lambda *_, test: asked.append(test))
    monkeypatch.setattr(start, "run", lambda words: 0)
    assert start.main() == 0
    assert asked == [told is None]
    assert os.environ.get("BUKE_COMMAND") == told


def test_a_python_newer_than_pytorch_is_told_before_the_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "requirements.txt").write_text("")
    monkeypatch.setattr(start, "make_venv", stop)
    for newest, told in (((3, 9), True), (sys.version_info[:2], False)):
        monkeypatch.setattr(start, "NEWEST", newest)
        with pytest.raises(KeyboardInterrupt):
            start.set_up(tmp_path, tmp_path / ".venv", test=False)
        assert ("is newer than the 3.9" in capsys.readouterr().err) is told


@pytest.mark.parametrize("code", [0, 1, 2, 7])
def test_the_exit_code_of_the_child_is_passed_on(code: int) -> None:
    call = f"import start; raise SystemExit(start.run([{sys.executable!r}, '-c', 'raise SystemExit({code})']))"
    assert subprocess.run([sys.executable, "-c", call], cwd=ROOT, timeout=60, check=False).returncode == code


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("torch==1\n")
    (tmp_path / ".venv").write_text("a file where the folder should be")
    monkeypatch.setattr(start, "ROOT", tmp_path)
    monkeypatch.setattr(start, "VENV", tmp_path / ".venv")
    assert start.main() == 2
    said = capsys.readouterr().err
    assert "buke: the set-up cannot write here" in said
    assert "hint: " in said
    assert "Traceback" not in said


def test_ctrl_c_is_130_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "set_up", interrupted)
    assert start.main() == 130
    assert capsys.readouterr().err.strip() == ""


def test_the_pins_name_one_torch_and_only_exact_versions() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.match(r"[A-Za-z0-9._-]+==[\w.]+(; |$)", pin) for pin in pins)
    assert [pin for pin in pins if pin.startswith("torch==")] == ["torch==2.13.0"]
    assert json.dumps(pins).count("tomli==") == 1
