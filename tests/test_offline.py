"""Whole commands in a process of their own: no socket is opened, nothing is written but runs and cache,
and nothing that a model brings with it is executed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tiny import tiny_folder, write_lessons

ROOT = Path(__file__).resolve().parents[1]

WATCH = """
import os, socket, sys

LOG = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
PLACES = {  # event: which arguments are paths, and which tell the folders they start from
    "os.mkdir": ((0, 2),), "os.rename": ((0, 2), (1, 3)), "os.remove": ((0, 1),), "os.rmdir": ((0, 1),),
    "os.link": ((1, 3),), "os.symlink": ((1, 2),), "os.truncate": ((0, None),), "os.chmod": ((0, 2),),
    "os.utime": ((0, 3),), "shutil.copyfile": ((1, None),),
}


def tell(kind, what):
    os.write(LOG, f"{kind}\\t{what}\\n".encode("utf-8", "replace"))


def watch(event, given):
    if event == "open":
        path, mode, flags = given
        if isinstance(path, (str, bytes)) and (flags & WRITING or set(mode or "") & set("wax+")):
            tell("write", os.path.abspath(os.fsdecode(path)))
    elif event in PLACES:
        for place, folder in PLACES[event]:
            if isinstance(given[place], (str, bytes)) or hasattr(given[place], "__fspath__"):
                handle = -1 if folder is None else given[folder]
                start = os.readlink(f"/proc/self/fd/{handle}") if handle not in (-1, None) else os.getcwd()
                tell("write", os.path.abspath(os.path.join(start, os.fsdecode(given[place]))))
    elif event.startswith("socket.") and event not in ("socket.gethostname",):
        family = given[1] if event == "socket.__new__" else None
        if family != socket.AF_UNIX:
            tell("socket", event)
            raise OSError("this process has no network")


sys.addaudithook(watch)
"""
COMMANDS = """
import json, sys, time
from buke.cli import run
data, new, base = sys.argv[1:]
small = ["--epochs", "1", "--questions", "1", "--thought-budget", "4", "--answer-budget", "4", "--eval-every", "9"]
lines = [
    ["check", data, "--model", base, "--report", "runs/page"],
    ["show", data, "--model", base, "--limit", "1"],
    ["plan", data, "--model", base],
    ["train", data, "--model", base, "--dry-run"],
    ["train", data, "--model", base, "--name", "a", *small, "--weights", "nf4"],
    ["train", new, "--from", "a", "--name", "b", *small, "--weights", "resident", "--max-hours", "1e-9"],
    ["train", "--resume", "b", "--max-hours", "1"],
    ["train", "--again", "a", "--name", "c"],
    ["compare", "a", "--questions", "1"],
    ["report", "a"],
    ["verify", "b"],
    ["doctor", "--json"],
    ["runs"],
]
codes = []
for line in lines:
    began = time.monotonic()
    codes.append((line[0], run(line)))
    print(line[:2], f"{time.monotonic() - began:.1f} s", file=sys.stderr)
print(json.dumps(codes), file=sys.stderr)
"""


def child(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in ``folder/here`` with the watch on, and a home, a temporary folder and a cache of its own."""
    for name in ("here", "home", "tmp", "cache", "site"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    keep = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    own = {
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT / "src")]), "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder / "home"), "USERPROFILE": str(folder / "home"), "TMPDIR": str(folder / "tmp"),
        "TEMP": str(folder / "tmp"), "TMP": str(folder / "tmp"), "BUKE_CACHE": str(folder / "cache"),
        "LANG": "en_US.UTF-8",
        "WATCH_LOG": str(folder / "log"), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder / "here", env=keep | nowhere | own, capture_output=True,
        text=True, encoding="utf-8", timeout=170, check=False,
    )  # fmt: skip


def logged(folder: Path, kind: str) -> set[str]:
    lines = (folder / "log").read_text(encoding="utf-8").splitlines()
    return {line.split("\t", 1)[1] for line in lines if line.startswith(kind + "\t")}


def outside(folder: Path) -> list[str]:
    """What was written, or tried to be, outside runs and cache; the system's own devices do not count."""
    mine = tuple(str(folder / part) for part in ("here/runs", "cache", "log"))
    return sorted(path for path in logged(folder, "write") if not path.startswith((*mine, "/dev/", "/proc/")))


linux = pytest.mark.skipif(sys.platform != "linux", reason="the watch asks /proc where a handle's folder is")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, int]], str]:
    """(the folder, exit codes, what was said) of every command, one after the other in one process."""
    folder = tmp_path_factory.mktemp("offline")
    base = tiny_folder(folder / "base")
    data, new = write_lessons(folder / "old.jsonl", 40), write_lessons(folder / "new.jsonl", 70)
    ran = child(folder, COMMANDS, str(data), str(new), str(base))
    assert ran.returncode == 0, ran.stderr
    return folder, json.loads(ran.stderr.splitlines()[-1]), ran.stderr


@linux
@pytest.mark.slow
def test_every_command_does_its_work_without_a_socket(walked: tuple[Path, list[tuple[str, int]], str]) -> None:
    folder, codes, said = walked
    assert len(codes) == 13
    assert {code for _, code in codes} == {0}, said
    assert logged(folder, "socket") == set()


@linux
@pytest.mark.slow
def test_nothing_is_written_but_runs_and_cache(walked: tuple[Path, list[tuple[str, int]], str]) -> None:
    """Python's hook sees what Python opens; what libraries write by themselves would lie in one of these folders."""
    folder, _, _ = walked
    assert outside(folder) == []
    assert [path.name for path in (folder / "here").iterdir()] == ["runs"]
    assert sorted(path.name for path in (folder / "here" / "runs").iterdir()) == ["a", "b", "c", "page"]
    for name in ("home", "tmp"):
        assert list((folder / name).rglob("*")) == []
    names = {"old.jsonl", "new.jsonl", "base", "here", "home", "tmp", "cache", "site", "log"}
    assert {path.name for path in folder.iterdir()} == names


def test_the_watch_sees_sockets_and_files(tmp_path: Path) -> None:
    """Otherwise the two tests above could not fail."""
    code = (
        "import os, socket, urllib.request\n"
        "open('../home/x', 'w').close(); os.mkdir('../tmp/y'); os.rename('../home/x', '../home/z')\n"
        "os.close(os.open('../home/w', os.O_CREAT | os.O_WRONLY))\n"
        "for call in (lambda: socket.socket(), lambda: socket.getaddrinfo('example.org', 80),\n"
        "             lambda: urllib.request.urlopen('http://example.org', timeout=1)):\n"
        "    try:\n        call()\n        print('reached')\n    except OSError as error:\n        print(error)\n"
    )
    ran = child(tmp_path, code)
    assert ran.returncode == 0, ran.stderr
    assert "reached" not in ran.stdout
    assert {"socket.__new__", "socket.getaddrinfo"} <= logged(tmp_path, "socket")
    seen = {Path(path).name for path in outside(tmp_path)}
    assert seen == {"x", "y", "z", "w"}


def marked(folder: Path, mark: Path) -> None:
    """Code beside a model that leaves a mark where it runs, asked for in every way a configuration can ask."""
    (folder / "modeling_own.py").write_text(f"open({str(mark)!r}, 'w').close()\nOwn = OwnConfig = object\n")
    ask: dict[str, Any] = {
        "AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.Own",
        "AutoTokenizer": ["modeling_own.Own", None],
    }  # fmt: skip
    for name in ("config.json", "tokenizer_config.json"):
        found = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(found | {"auto_map": ask}), encoding="utf-8")


@pytest.mark.parametrize("kind", ["llama", "never_heard_of"])
def test_code_beside_a_model_is_not_executed(kind: str, tmp_path: Path) -> None:
    from buke.config import make
    from buke.model import load
    from buke.words import Refusal

    base = tiny_folder(tmp_path / "base")
    marked(base, tmp_path / "mark")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps(config | {"model_type": kind}), encoding="utf-8")
    settings, _ = make({"model": str(base), "device": "cpu"})
    if kind == "llama":
        load(base, settings)
    else:
        with pytest.raises(Refusal):
            load(base, settings)
    assert not (tmp_path / "mark").exists()


ATTACKS = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('touch MARK') }}",
    "{{ lipsum.__globals__['os'].popen('touch MARK').read() }}",
    "{{ raise_exception.__globals__['json'] }}",
    "{{ messages.append({}) }}",
    "{% for x in (1).__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os }}",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_chat_template_cannot_reach_out_of_its_sandbox(attack: str, tmp_path: Path) -> None:
    from buke import prompt
    from buke.words import Refusal

    base = tiny_folder(tmp_path / "base")
    config = json.loads((base / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["chat_template"] = attack.replace("MARK", str(tmp_path / "mark")) + config["chat_template"]
    (base / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(Refusal):
        prompt.load(base)
    assert not (tmp_path / "mark").exists()


def test_weights_in_pickle_are_refused_by_name_and_not_opened(tmp_path: Path) -> None:
    import pickle

    from buke import hub
    from buke.words import Refusal, set_language

    class Attack:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "mark"),)

    set_language("en")
    (tmp_path / "base").mkdir()
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / "base" / name).write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (tmp_path / "base" / "pytorch_model.bin").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(Refusal, match=r"pickle files \(\.bin"):
        hub.resolve(str(tmp_path / "base"))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(Refusal, match=r"pickle files \(\.bin"):
        hub.check_adapter(adapter, tmp_path / "base")
    assert not (tmp_path / "mark").exists()
