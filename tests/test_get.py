"""`buke get` against local servers that speak the hubs' protocols: nothing looks whole before it is."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from buke import hub
from buke.cli import run
from buke.hub import fetch, places, wire
from buke.hub.names import DATASETS, SHORT, closest, usual_files
from buke.words import Refusal

DATA = [{"Question": f"问题 {i}", "Complex_CoT": "想" * 50, "Response": "答"} for i in range(3000)]
ZH, EN = "medical_o1_sft_Chinese.json", "medical_o1_sft.json"
SHA = "0123456789abcdef" * 2 + "01234567"
TOKEN = "hf_secretsecret"


class Server:
    """A hub (both protocols) and, at another port, the servers its files come from."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str]] = []  # path, Range
        self.tokens: dict[str, list[str | None]] = {"hub": [], "files": []}
        self.cut: list[int] = []  # for the next responses: bytes after which the connection drops
        self.statuses: list[int] = []  # for the next responses: an error instead
        self.answer: tuple[int, str] | None = None  # status and X-Error-Code of every answer
        self.ranges = True
        self.from_start = False  # answers a Range with 206 and the whole file
        self.wrong = b""  # appended to the digests' content
        self.extra: list[str] = []  # more names in the listing
        self.hashes = True
        self.gated = False  # everybody may see the listing, not everybody the files
        self.pause = 0.0  # seconds between blocks
        self.hub, self.store = self._serve("hub"), self._serve("files")

    def _serve(self, role: str) -> ThreadingHTTPServer:
        handler = type("Handler", (Handler,), {"owner": self, "role": role})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def url(self, server: ThreadingHTTPServer | None = None) -> str:
        return f"http://127.0.0.1:{(server or self.hub).server_port}"

    def sent(self, name: str) -> list[str]:
        """The Range headers of the requests for a file's bytes."""
        return [ranged for path, ranged in self.asked if path.startswith("/bytes") and path.endswith(name)]

    def close(self) -> None:
        for server in (self.hub, self.store):
            server.shutdown()
            server.server_close()


class Handler(BaseHTTPRequestHandler):
    owner: Server
    role: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        owner, parts = self.owner, urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        owner.asked.append((path, self.headers.get("Range") or ""))
        owner.tokens[self.role].append(self.headers.get("Authorization"))
        if owner.answer:
            self.send_json({"error": "no"}, *owner.answer)
        elif owner.statuses and (self.role == "files" or path.startswith("/api")):
            self.send_json({}, owner.statuses.pop(0))
        elif self.role == "files":
            self.send_bytes(owner.files[path.removeprefix("/bytes/")])
        elif path.startswith("/api/v1/"):
            self.modelscope(path, query)
        elif "/resolve/" in path and owner.gated:
            self.send_json({"error": "gated"}, 403, "GatedRepo")
        elif "/resolve/" in path:
            self.redirect(path.split(f"/resolve/{SHA}/")[1])
        elif "/tree/" in path:
            self.send_json([self.entry(name) for name in [*owner.files, *owner.extra]])
        else:
            self.send_json({"sha": SHA, "cardData": {"license": "apache-2.0"}, "tags": []})

    def entry(self, name: str) -> dict[str, Any]:
        """As Hugging Face lists a file: JSON larger than the others is in git-lfs."""
        data = self.owner.files.get(name, b"")
        content = data + self.owner.wrong
        blob = hashlib.sha1(b"blob %d\0" % len(data) + content).hexdigest()
        entry = {"type": "file", "oid": blob, "size": len(data), "path": name}
        if len(data) > 100_000:
            digest = hashlib.sha256(content).hexdigest()
            entry |= {"oid": "0" * 40, "lfs": {"oid": digest, "size": len(data), "pointerSize": 134}}
        return entry

    def modelscope(self, path: str, query: dict[str, list[str]]) -> None:
        owner = self.owner
        if path.endswith("/repo"):
            self.redirect(query["FilePath"][0])
        elif path.endswith(("/repo/files", "/repo/tree")):
            files: list[dict[str, Any]] = [{"Path": "sub", "Type": "tree", "Size": 0}] if "files" in path else []
            for name in [*owner.files, *owner.extra]:
                data = owner.files.get(name, b"")
                digest = hashlib.sha256(data + owner.wrong).hexdigest() if owner.hashes else ""
                files.append({"Path": name, "Name": name, "Type": "blob", "Size": len(data), "Sha256": digest})
            self.send_json({"Code": 200, "Success": True, "Data": {"Files": files}})
        elif "none" in path:
            self.send_json({"Code": 10010205001, "Success": False, "Message": "not exist", "Data": None})
        else:
            self.send_json({"Code": 200, "Success": True, "Data": {"License": "Apache License 2.0"}})

    def redirect(self, name: str) -> None:
        """Hugging Face sends large files elsewhere, and small ones to another path of its own, both with 302 or 307."""
        self.send_response(302 if len(self.owner.files[name]) > 100_000 else 307)
        for key, value in {
            "Location": f"{self.owner.url(self.owner.store)}/bytes/{name}",
            "X-Linked-ETag": f'"{hashlib.sha256(self.owner.files[name]).hexdigest()}"', "Content-Length": "0",
        }.items():  # fmt: skip
            self.send_header(key, value)
        self.end_headers()

    def send_bytes(self, data: bytes) -> None:
        start, ranged = 0, self.headers.get("Range") if self.owner.ranges else None
        if ranged:
            start = 0 if self.owner.from_start else int(ranged.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        body, step = data[start:], 1 << 14
        if self.owner.cut:
            body, self.close_connection = body[: self.owner.cut.pop(0)], True
        for i in range(0, len(body), step):
            time.sleep(self.owner.pause)
            try:
                self.wfile.write(body[i : i + step])
            except OSError:  # the client was killed
                self.close_connection = True
                return

    def send_json(self, body: Any, status: int = 200, code: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def model_files(tmp_path: Path) -> dict[str, bytes]:
    """A small whole model, and what lies beside one on a hub."""
    import numpy as np

    save_file({"w": np.arange(60_000, dtype=np.float32)}, tmp_path / "weights")
    return {
        "model.safetensors": (tmp_path / "weights").read_bytes(),
        "config.json": b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}',
        "tokenizer.json": b'{"model": {}}',
        "README.md": b"# A model",
        "onnx/config.json": b"{}",
    }


@pytest.fixture
def server(model_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    data = {ZH: json.dumps(DATA, ensure_ascii=False).encode(), EN: b'[{"Question": "q"}]'}
    made = Server({**model_files, **data})
    for name, value in {
        "HF_ENDPOINT": made.url(), "MODELSCOPE_ENDPOINT": made.url(), "BUKE_CACHE": str(tmp_path / "cache"),
        "NO_PROXY": "127.0.0.1", "LANG": "C.UTF-8", "HF_TOKEN": TOKEN,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    for name in ("LC_ALL", "LC_MESSAGES", "BUKE_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(wire, "PAUSES", (0.0, 0.0, 0.0, 0.0))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield made
    made.close()


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def buke(server: Server, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run one command line: exit code, stdout, stderr. The token never shows."""

    def said(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["get", *arguments])
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        assert "Traceback" not in err
        return code, out, err

    return said


def until(reached: Callable[[], bool]) -> None:
    """Wait for a process at work; at most a minute."""
    deadline = time.monotonic() + 60
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.01)


HUBS = ["huggingface", "modelscope"]


# --- whole


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize(("lang", "name"), [("zh", ZH), ("en", EN)])
def test_the_data_set_in_the_language_asked_for(source: str, lang: str, name: str, buke: Say, server: Server) -> None:
    code, out, err = buke("medical-o1", "--lang", lang, "--from", source)
    assert code == 0, err
    assert out.strip() == str(Path(name).absolute())
    assert Path(name).read_bytes() == server.files[name]
    assert [path.name for path in Path().iterdir()] == [name]
    assert ("apache-2.0" if source == "huggingface" else "Apache License 2.0") in err
    assert ("可用" if lang == "zh" else "free:") in err
    assert server.url() in err


@pytest.mark.parametrize("source", HUBS)
def test_a_model_goes_where_its_name_finds_it(source: str, buke: Say, server: Server, tmp_path: Path) -> None:
    code, out, err = buke("r1-1.5b", "--from", source)
    assert code == 0, err
    folder = tmp_path / "cache" / "hub" / SHORT["r1-1.5b"]
    assert out.strip() == str(folder)
    assert {path.name for path in folder.iterdir()} >= {"config.json", "tokenizer.json", "model.safetensors"}
    assert not {"README.md", "onnx"} & {path.name for path in folder.iterdir()}
    server.asked.clear()
    assert hub.resolve("r1-1.5b") == folder
    code, out, err = buke("r1-1.5b")
    assert (code, out.strip(), server.asked) == (0, str(folder), [])
    assert "already here" in err


def test_a_second_get_fetches_nothing_and_json_tells_it(buke: Say, server: Server) -> None:
    first = json.loads(buke("medical-o1", "--json")[1])
    assert (first["fetched"], first["bytes"], first["licence"]) == (1, len(server.files[EN]), "apache-2.0")
    assert first["files"][0]["name"] == EN
    server.asked.clear()
    code, out, err = buke("medical-o1", "--json")
    assert (code, json.loads(out)["fetched"], server.sent(EN)) == (0, 0, [])
    assert "already here and whole" in err


def test_to_another_folder(buke: Say, server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a b" / "模型"
    code, out, _ = buke("org/name", "--to", str(target))
    assert (code, out.strip()) == (0, str(target))
    hub.check_model_folder(target)
    server.asked.clear()
    assert buke("org/name", "--to", str(target))[0] == 0
    assert server.asked == []
    (target / "config.json").unlink()
    assert buke("org/name", "--to", str(target))[0] == 0
    hub.check_model_folder(target)
    assert server.sent("") == [""]


def test_the_token_is_for_the_hub_only(buke: Say, server: Server) -> None:
    assert buke("medical-o1", "--lang", "zh")[0] == 0
    assert set(server.tokens["hub"]) == {f"Bearer {TOKEN}"}
    assert server.tokens["files"] == [None]
    server.tokens["hub"].clear()
    assert buke("medical-o1", "--from", "modelscope")[0] == 0
    assert set(server.tokens["hub"]) == {None}


def test_a_file_of_an_earlier_revision_is_fetched_again_whatever_its_size(buke: Say, server: Server) -> None:
    folder = hub.own_folder("org/name")
    folder.mkdir(parents=True)
    older = bytearray(server.files["model.safetensors"])
    older[-1] ^= 1
    (folder / "model.safetensors").write_bytes(older)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "QUICK", 1000)
        code, _, err = buke("org/name")
    assert (code, "Checking what is here already" in err) == (0, True)
    assert (folder / "model.safetensors").read_bytes() == server.files["model.safetensors"]


def test_the_hub_cannot_write_our_own_marks(buke: Say, server: Server) -> None:
    server.files[fetch.MARKER] = b'{"name": "org/name", "files": {}}'
    assert buke("org/name")[0] == 0
    server.asked.clear()
    assert hub.on_disk("org/name") == hub.own_folder("org/name")
    assert json.loads((hub.own_folder("org/name") / fetch.MARKER).read_text())["files"]


# --- in the middle


@pytest.mark.parametrize("source", HUBS)
def test_an_interrupted_transfer_goes_on_where_it_stopped(
    source: str, buke: Say, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PAUSES", ())  # the user tries again by hand
    server.cut = [200_000]
    code, out, err = buke("medical-o1", "--lang", "zh", "--from", source)
    assert (code, out) == (2, "")
    assert "已下载的部分会保留" in err
    assert not Path(ZH).exists()
    assert Path(f"{ZH}.part").read_bytes() == server.files[ZH][:200_000]
    assert buke("medical-o1", "--lang", "zh", "--from", source)[0] == 0
    assert server.sent(ZH) == ["", "bytes=200000-"]
    assert Path(ZH).read_bytes() == server.files[ZH]
    assert not Path(f"{ZH}.part").exists()


def test_drops_and_errors_on_the_way_are_overcome(buke: Say, server: Server) -> None:
    server.cut, server.statuses = [100_000, 0, 50_000], [503, 429]
    assert buke("medical-o1", "--lang", "zh")[0] == 0
    assert server.sent(ZH) == ["", "bytes=100000-", "bytes=100000-", "bytes=150000-"]
    assert Path(ZH).read_bytes() == server.files[ZH]


@pytest.mark.parametrize("from_start", [False, True])
def test_a_server_that_ignores_range_sends_all_again(from_start: bool, buke: Say, server: Server) -> None:
    server.cut, server.ranges, server.from_start = [300_000], from_start, from_start
    assert buke("medical-o1", "--lang", "zh")[0] == 0
    assert server.sent(ZH) == ["", "bytes=300000-"]  # and not once more from the start
    assert Path(ZH).read_bytes() == server.files[ZH]


@pytest.mark.parametrize("part", [b"of an older version", b"x" * 2_000_000])
def test_a_part_of_something_else_is_noticed(part: bytes, buke: Say, server: Server) -> None:
    Path(f"{ZH}.part").write_bytes(part)
    assert buke("medical-o1", "--lang", "zh")[0] == 0
    assert Path(ZH).read_bytes() == server.files[ZH]


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("lang", ["en", "zh"])  # a git blob and git-lfs on Hugging Face
def test_a_wrong_hash_leaves_nothing(source: str, lang: str, buke: Say, server: Server) -> None:
    server.wrong = b"!"
    code, out, err = buke("medical-o1", "--lang", lang, "--from", source)
    assert (code, out) == (2, "")
    assert ("hash" if lang == "en" else "哈希") in err
    assert [path for path in Path().iterdir() if path.suffix != ".lock"] == []


def test_killed_in_the_middle_then_resumed(buke: Say, server: Server) -> None:
    server.pause = 0.02
    command = [sys.executable, "-m", "buke", "get", "medical-o1", "--lang", "zh"]
    environment = {**os.environ, "PYTHONPATH": str(Path(hub.__file__).parents[2])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: wire.size_of(Path(f"{ZH}.part")) > 50_000)
        process.kill()
    kept = wire.size_of(Path(f"{ZH}.part"))
    assert 50_000 <= kept < len(server.files[ZH])
    assert not Path(ZH).exists()
    server.pause = 0.0
    assert buke("medical-o1", "--lang", "zh")[0] == 0
    assert server.sent(ZH)[-1] == f"bytes={kept}-"
    assert Path(ZH).read_bytes() == server.files[ZH]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_is_one_line_and_keeps_what_arrived(server: Server) -> None:
    server.pause = 0.02
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom buke.cli import main; main()"
    command = [sys.executable, "-c", code, "get", "medical-o1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(hub.__file__).parents[2])}
    server.files[EN] = server.files[ZH]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: wire.size_of(Path(f"{EN}.part")) > 50_000)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.strip().splitlines()[-1].startswith("Interrupted; what has arrived is kept.")
    assert "Traceback" not in err
    assert not Path(EN).exists()
    assert Path(f"{EN}.part").exists()


def test_killed_just_before_the_renaming(buke: Say, server: Server) -> None:
    Path(f"{ZH}.part").write_bytes(server.files[ZH])
    assert buke("medical-o1", "--lang", "zh")[0] == 0
    assert server.sent(ZH) == []
    assert Path(ZH).read_bytes() == server.files[ZH]


@pytest.mark.slow
def test_two_at_once_do_not_write_into_each_other(buke: Say, server: Server) -> None:
    server.pause = 0.02
    command = [sys.executable, "-m", "buke", "get", "medical-o1", "--lang", "zh"]
    environment = {**os.environ, "PYTHONPATH": str(Path(hub.__file__).parents[2])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: wire.size_of(Path(f"{ZH}.part")) > 50_000)
        code, _, err = buke("medical-o1", "--lang", "zh")
        assert code == 2
        assert "正在下载" in err
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert Path(ZH).read_bytes() == server.files[ZH]
    assert [path.name for path in Path().iterdir()] == [ZH]


# --- refused


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("path", ["../x.json", "a/../../x.json", "/etc/x.json", "C:\\x.json", "a//x.json", "..\\x"])
def test_names_that_lead_out_of_the_folder(source: str, path: str, buke: Say, server: Server) -> None:
    server.extra = [path]
    code, _, err = buke("org/name", "--from", source)
    assert code == 2
    assert repr(path) in err
    assert server.sent("") == []


@given(st.text(max_size=20))
def test_a_listed_name_stays_inside_or_is_refused(name: str) -> None:
    place = places.Place("huggingface", "models", "org/name")
    found = places.Listing((wire.File(name, 1, "http://x"),), "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "_hugging_face", lambda place: found)
        try:
            places.listing(place)
        except Refusal:
            return
    root = Path("/root/folder")
    inside = Path(os.path.normpath(root / name))
    assert inside.is_relative_to(root)
    assert inside != root


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        ((401, ""), "does not accept your token", "HF_TOKEN"),
        ((401, "GatedRepo"), "accepted its terms", "hf auth login"),
        ((403, "GatedRepo"), "accepted its terms", "hf auth login"),
        ((404, "RepoNotFound"), "has nothing of this name", "Did you mean deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
        ((400, ""), "HTTP 400", "See http"),
    ],
)
def test_the_hub_says_no(answer: tuple[int, str], words: str, hint: str, buke: Say, server: Server) -> None:
    server.answer = answer
    code, out, err = buke("deepseek-ai/DeepSeek-R1-Distill-Qwen-15B")
    assert (code, out) == (2, "")
    assert words in err
    assert hint in err
    assert len(server.asked) == 1


def test_a_gated_model_lets_the_listing_be_seen(buke: Say, server: Server) -> None:
    server.gated = True
    code, _, err = buke("org/name")
    assert code == 2
    assert "accepted its terms" in err
    assert server.sent("") == []


@pytest.mark.parametrize(
    ("code", "words"), [("GatedRepo", "accepted its terms"), ("RepoNotFound", "or shows it only to some accounts")]
)
def test_401_without_a_token(code: str, words: str, buke: Say, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent")
    server.answer = (401, code)
    exit_code, _, err = buke("org/name")
    assert exit_code == 2
    assert words in err


def test_modelscope_says_no_with_status_200(buke: Say, server: Server) -> None:
    server.files = {}
    code, _, err = buke("org/none", "--from", "modelscope")
    assert code == 2
    assert "has nothing of this name" in err


def test_a_hub_without_hashes_is_said(buke: Say, server: Server) -> None:
    server.hashes = False
    code, _, err = buke("medical-o1", "--from", "modelscope")
    assert code == 0
    assert "gives no hash for medical_o1_sft.json" in err


def test_a_busy_hub_is_asked_a_few_times_and_then_left(buke: Say, server: Server) -> None:
    server.answer = (503, "")
    code, _, err = buke("medical-o1")
    assert code == 2
    assert "HTTP 503" in err
    assert len(server.asked) == 5


def test_a_portal_instead_of_the_hub(buke: Say, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "send_json", lambda self, body: Handler.send_bytes(self, b"<html>log in</html>"))
    code, _, err = buke("medical-o1")
    assert code == 2
    assert "instead of JSON" in err


@pytest.mark.parametrize("what", ["r1-7b", "medical-o1", "org/name"])
def test_without_network_it_says_what_to_fetch_by_hand(what: str, buke: Say, server: Server) -> None:
    server.close()
    code, out, err = buke(what)
    assert (code, out) == (2, "")
    if what == "medical-o1":
        assert f"{server.url()}/datasets/FreedomIntelligence/medical-o1-reasoning-SFT/resolve/main/{EN}" in err
        assert f"put it into {Path.cwd()}." in err
    elif what == "r1-7b":
        for name in usual_files(SHORT[what]):
            assert f"{server.url()}/{SHORT[what]}/resolve/main/{name}" in err
        assert "model-00002-of-000002.safetensors" in err
    else:
        assert f"{server.url()}/org/name: config.json" in err
    assert "--from modelscope" in err


def test_an_unreachable_file_is_named_with_its_size(buke: Say, server: Server) -> None:
    server.store.shutdown()
    server.store.server_close()
    code, _, err = buke("medical-o1", "--lang", "zh")
    assert code == 2
    assert f"{ZH}  ({fetch.amount(len(server.files[ZH]))})" in err


def test_without_network_what_is_here_is_still_found(buke: Say, server: Server) -> None:
    assert buke("medical-o1")[0] == 0
    server.close()
    code, out, err = buke("medical-o1")
    assert (code, out.strip()) == (0, str(Path(EN).absolute()))
    assert "could not be asked" in err


def test_the_librarys_own_switch_keeps_it_off_the_network(
    buke: Say, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = buke("org/name")
    assert code == 2
    assert "HF_HUB_OFFLINE" in err
    assert server.asked == []


@pytest.mark.parametrize("value", ["hf-mirror.com", "ftp://x", "https://", "file:///etc"])
def test_an_endpoint_that_is_no_address(value: str, buke: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", value)
    code, _, err = buke("medical-o1")
    assert code == 2
    assert f"HF_ENDPOINT={value}" in err


@pytest.mark.parametrize(("what", "meant"), [("r1-1.5", "r1-1.5b"), ("medical-01", "medical-o1"), ("qqq", "")])
def test_a_mistyped_name(what: str, meant: str, buke: Say, server: Server) -> None:
    code, _, err = buke(what)
    assert code == 2
    assert (f"Did you mean {meant}" if meant else "Give a model folder") in err
    assert server.asked == []


def test_bad_flags(buke: Say) -> None:
    assert "no such hub" in buke("medical-o1", "--from", "elsewhere")[2]
    assert "--to" in buke("embedded", "--to", "x")[2]


# --- the disk


def test_too_little_room_is_said_before_anything_is_fetched(
    buke: Say, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")._replace(free=50_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    code, _, err = buke("medical-o1", "--lang", "zh")
    assert code == 2
    assert "磁盘空间不足" in err
    assert server.sent(ZH) == []


def test_a_disk_that_fills_keeps_the_part(buke: Say, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        code, out, err = buke("medical-o1", "--lang", "zh")
    assert (code, out) == (2, "")
    assert "磁盘已满" in err
    assert not Path(ZH).exists()
    assert Path(f"{ZH}.part").exists()
    assert buke("medical-o1", "--lang", "zh")[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_write_that_finds_the_disk_full(buke: Say, server: Server) -> None:
    Path(f"{ZH}.part").symlink_to("/dev/full")
    code, _, err = buke("medical-o1", "--lang", "zh")
    assert code == 2
    assert "磁盘已满" in err
    assert not Path(ZH).exists()


def test_a_folder_that_is_a_file(buke: Say, server: Server) -> None:
    Path("x").write_bytes(b"")
    code, _, err = buke("medical-o1", "--to", "x")
    assert code == 2
    assert "cannot be written" in err


def test_the_users_own_file_is_not_touched(buke: Say, server: Server, tmp_path: Path) -> None:
    Path(EN).write_text("mine")
    code, _, err = buke("medical-o1")
    assert code == 2
    assert "not touched" in err
    assert Path(EN).read_text() == "mine"
    cached = hub.own_folder("org/name") / "config.json"  # in our own cache a damaged file is replaced
    cached.parent.mkdir(parents=True)
    cached.write_text("{}")
    assert buke("org/name")[0] == 0
    assert cached.read_bytes() == server.files["config.json"]


# --- parts


def test_amounts() -> None:
    assert [fetch.amount(n) for n in (0, 999, 1000, 64_400_000, 3_554_214_752)] == [
        "0 B", "999 B", "1 kB", "64.4 MB", "3.55 GB",
    ]  # fmt: skip


def test_plain_lines_are_few() -> None:
    lines: list[str] = []
    watch = fetch.spoken(lines.append)
    for done in range(101):
        watch("a" if done < 50 else "b", done, 100)
    assert [line.split()[0] for line in lines] == ["0", "50", "100"]


def test_known_names_are_complete() -> None:
    for short, full in SHORT.items():
        assert usual_files(full)[0] == "config.json", short
    assert usual_files("org/name") == []
    for known in DATASETS.values():
        assert set(known.on) == set(places.ENDPOINTS)
    assert closest("R1-1.5") == "r1-1.5b"


def test_the_next_page_of_a_listing() -> None:
    assert wire._next_page('<https://x/tree?cursor=a>; rel="next"') == "https://x/tree?cursor=a"
    assert wire._next_page('<https://x/1>; rel="prev", <https://x/2>; rel="next"') == "https://x/2"
    assert wire._next_page("") == ""
