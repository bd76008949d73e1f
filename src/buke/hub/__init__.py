"""Room `hub`: a name -> a verified local model folder.

A path is always tried first. The network is used only for a name of the form ``org/name`` that is not on this disk.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from buke.hub import embedded
from buke.hub.cache import Say, cache_folder, silent
from buke.hub.check import check_model_folder
from buke.runfolder import write_json
from buke.words import Refusal, t

__all__ = ["EMBEDDED", "SHORT", "Say", "cache_folder", "check_model_folder", "resolve"]

EMBEDDED = "embedded"
SHORT = {
    "r1-1.5b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    "r1-7b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
    "r1-8b": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    "r1-14b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
    "r1-32b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
    "r1-70b": "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
}
WANTED = ["*.json", "*.safetensors", "*.jinja"]
# sub-folders hold the same weights for other programs; "consolidated" files are a second copy
UNWANTED = ["*/*", "consolidated*"]
MARKER = ".downloaded.json"  # written last: without it a download is not taken for whole


def resolve(name: str, say: Say = silent) -> Path:
    """The checked folder of a base model: ``embedded``, a folder, a short name (SHORT) or ``org/name`` on the hub.

    say: gets one line before anything that takes time. Raises Refusal.
    """
    if name == EMBEDDED:
        return embedded.folder(say=say)
    path = Path(name).expanduser()
    if name and path.exists():
        check_model_folder(path)
        return path.resolve()
    full = SHORT.get(name.lower(), name)
    # "." and "~" begin paths; so does a drive letter, whose colon no hub name has
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", full, re.ASCII):
        raise Refusal(t("hub.nothing", name=name), t("hub.nothing_hint", short=", ".join(SHORT)))
    return _on_disk(full) or _download(full, say)


def _own_folder(name: str) -> Path:
    """Where our downloads of a hub name lie."""
    return cache_folder() / "hub" / name


def _on_disk(name: str) -> Path | None:
    """A whole copy of a hub model on this disk: our own download, or one in the hub library's cache."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import constants, try_to_load_from_cache

    constants.HF_HUB_DISABLE_TELEMETRY = True  # it may have been imported earlier, without the line above
    candidates = [_own_folder(name)] if (_own_folder(name) / MARKER).is_file() else []
    config = try_to_load_from_cache(name, "config.json")
    if isinstance(config, str):
        snapshot = Path(config).parent
        if not any((snapshot.parent.parent / "blobs").glob("*.incomplete")):
            candidates.append(snapshot)
    for candidate in candidates:
        try:
            check_model_folder(candidate)
        except Refusal:
            continue
        return candidate
    return None


def _download(name: str, say: Say) -> Path:
    """Fetch a model from the hub, or from the mirror in HF_ENDPOINT, into our cache, and check it."""
    from huggingface_hub import constants, snapshot_download

    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    target = _own_folder(name)
    say(t("hub.downloading", name=name, endpoint=endpoint, target=target))
    try:
        (target / MARKER).unlink(missing_ok=True)
        snapshot_download(name, local_dir=target, endpoint=endpoint, allow_patterns=WANTED, ignore_patterns=UNWANTED)
    except Exception as error:  # the library's transport, and with it the kinds of error, changes between versions
        raise _failed(name, endpoint, error) from None
    if not any(target.glob("*.safetensors")):
        raise Refusal(t("hub.no_weights", name=name, endpoint=endpoint), t("hub.gguf_hint"))
    check_model_folder(target)
    write_json(target / MARKER, {"name": name, "endpoint": endpoint})
    return target


def _failed(name: str, endpoint: str, error: Exception) -> Refusal:
    """One sentence for whatever went wrong with a download."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return Refusal(t("hub.gated", name=name, endpoint=endpoint), t("hub.gated_hint"))
    if isinstance(error, RepositoryNotFoundError):
        return Refusal(t("hub.unknown", name=name, endpoint=endpoint), t("hub.unknown_hint"))
    root: BaseException = error
    while cause := (root.__cause__ or root.__context__):
        root = cause
    why = (str(root).strip().splitlines() or [type(root).__name__])[0].rstrip(".。")
    return Refusal(t("hub.unreachable", name=name, endpoint=endpoint, why=why), t("hub.unreachable_hint"))
