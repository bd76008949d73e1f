"""What every test lives under: no connection leaves this machine, which speaks English."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from buke import words
from buke.machine import free_memory

ONE = int(2.5e9)  # bytes of memory that a process of tests may need

if sys.dont_write_bytecode:  # then each of the many processes here would compile PyTorch anew, which takes ten seconds
    kept = Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(kept)
    sys.dont_write_bytecode = False
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch comes: a process for each core already

settings.register_profile("buke", deadline=None)  # a busy machine is not a fault of the code
settings.load_profile("buke")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many processes as there are cores, where memory allows."""
    return max(1, min(os.cpu_count() or 1, free_memory() // ONE))


def pytest_collection_finish() -> None:
    """The libraries are imported by now and stay, so nobody has to look through them for what can go."""
    gc.collect()
    gc.freeze()


class NetworkUsed(AssertionError):
    """A test tried to reach something beyond this machine."""


def is_here(host: object) -> bool:
    """Whether a host is this machine itself. A name other than localhost would be asked from the network."""
    text = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return text.lower() == "localhost"


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests keep between runs lies in a folder of their own, one for all processes."""
    base = tmp_path_factory.getbasetemp()
    own = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUKE_CACHE", str(own))
        yield


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user speaks English, and calls the command by its own name."""
    for name in ("LC_ALL", "LC_MESSAGES", "BUKE_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    words.set_language("en")
    yield
    words.set_language("en")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights, read only."""
    from tiny import tiny_folder

    return tiny_folder(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 lessons, read only."""
    from tiny import write_lessons

    return write_lessons(tmp_path_factory.mktemp("data") / "lessons.jsonl", 40)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting, sending to or looking up any address but the loopback raises NetworkUsed."""

    def guard(name: str, place: Callable[[tuple[Any, ...]], object]) -> None:
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, *arguments: Any) -> Any:
            address = place(arguments)
            if self.family in (socket.AF_INET, socket.AF_INET6) and not (
                isinstance(address, tuple) and is_here(address[0])
            ):
                raise NetworkUsed(f"socket.{name} to {address!r}")
            return original(self, *arguments)

        monkeypatch.setattr(socket.socket, name, guarded)

    guard("connect", lambda arguments: arguments[0])
    guard("connect_ex", lambda arguments: arguments[0])
    guard("sendto", lambda arguments: arguments[-1])
    lookup = socket.getaddrinfo

    def guarded_lookup(host: Any, *arguments: Any, **named: Any) -> Any:
        if not is_here(host):
            raise NetworkUsed(f"socket.getaddrinfo for {host!r}")
        return lookup(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)
