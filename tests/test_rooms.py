"""The order of the rooms, and what each may import; and that the tests themselves stay off the network."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buke import ROOMS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "buke"
NO_TORCH = [
    "words",
    "config",
    "records",
    "runfolder",
    "machine",
    "intake",
    "prompt",
    "encoded",
    "pack",
    "hub",
    "grade",
    "report",
    "demo",
]
TORCH_FAMILY = {"torch", "transformers", "peft", "accelerate", "bitsandbytes"}
SLOW_TO_IMPORT = TORCH_FAMILY | {"matplotlib"}


def modules_of(room: str) -> list[Path]:
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


def package_of(path: Path) -> list[str]:
    """The package a module's relative imports start from, as names below `buke`."""
    return list(path.relative_to(PACKAGE).parts[:-1])


def imports(path: Path, source: str, top_level_only: bool = False) -> Iterator[str]:
    """Every imported name, absolute and dotted: `buke.train`, `torch.nn`. `from buke import train` gives both parts."""
    tree = ast.parse(source, str(path))
    for node in statements(tree) if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["buke", *package_of(path)]
                base = ".".join([*here[: len(here) - node.level + 1], *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: function bodies and TYPE_CHECKING blocks are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from statements(child)


def rooms_in(names: Iterator[str]) -> set[str]:
    """The rooms among imported names; a part of `buke` itself such as __version__ is none."""
    parts = (name.split(".") for name in names)
    return {part[1] for part in parts if part[0] == "buke" and len(part) > 1 and part[1] in ROOMS}


def test_every_room_exists_and_nothing_else_does() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__", "__main__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_above_it(room: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    for path in modules_of(room):
        below = rooms_in(imports(path, path.read_text(encoding="utf-8"))) - allowed
        assert not below, f"{path.relative_to(ROOT)} imports from {sorted(below)}, which stand after {room}"


@pytest.mark.parametrize("room", NO_TORCH)
def test_a_light_room_never_imports_torch_not_even_in_a_function(room: str) -> None:
    for path in modules_of(room):
        heavy = {name.split(".")[0] for name in imports(path, path.read_text(encoding="utf-8"))} & TORCH_FAMILY
        assert not heavy, f"{path.relative_to(ROOT)} imports {sorted(heavy)}"


def test_light_rooms_and_the_command_line_load_nothing_heavy() -> None:
    """The proof by running: also catches what comes in through another room or a library."""
    rooms = [*NO_TORCH, "cli"]
    code = f"import sys\nfor room in {rooms!r}: __import__('buke.' + room)\n"
    code += f"print(*{SLOW_TO_IMPORT!r} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []


def test_the_command_line_names_nothing_heavy_at_module_level() -> None:
    for path in modules_of("cli"):
        names = {name.split(".")[0] for name in imports(path, path.read_text(encoding="utf-8"), top_level_only=True)}
        assert not names & SLOW_TO_IMPORT, path


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_tree_in_the_readme_is_the_list_of_rooms(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    block = re.search(r"^```[^\n]*\nsrc/buke/[^\n]*\n(.*?)^```", text, re.M | re.S)
    assert block, f"{readme} has no code block that starts with src/buke/"
    lines = [line for line in block.group(1).splitlines() if line.strip()]
    depth = min(len(line) - len(line.lstrip(" │├└─")) for line in lines)
    found = [re.match(r"([a-z_]+)(?:/|\.py)?(?:\s|$)", line[depth:]) for line in lines]
    assert [match.group(1) for match in found if match] == list(ROOMS)


def test_the_import_reader_sees_every_way_to_import() -> None:
    source = (
        "import torch.nn as nn\nfrom buke import train, __version__\nfrom . import pack\nfrom .config import Settings\n"
        "def late():\n    import peft\n    from buke.cli import main\n"
    )
    path = PACKAGE / "example.py"
    names = set(imports(path, source))
    assert {"torch.nn", "peft"} <= names
    assert rooms_in(iter(names)) == {"train", "pack", "config", "cli"}
    assert rooms_in(imports(path, source, top_level_only=True)) == {"train", "pack", "config"}
    assert rooms_in(imports(PACKAGE / "intake" / "x.py", "from ..words import t\nfrom . import formats")) == {
        "words",
        "intake",
    }


def test_tests_cannot_reach_the_network() -> None:
    with pytest.raises(AssertionError, match="getaddrinfo"):
        socket.create_connection(("example.org", 80), timeout=1)
    with socket.socket() as plain, pytest.raises(AssertionError, match="connect"):
        plain.connect(("192.0.2.1", 80))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, pytest.raises(AssertionError, match="sendto"):
        datagram.sendto(b"x", ("192.0.2.1", 53))


def test_tests_may_talk_to_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
