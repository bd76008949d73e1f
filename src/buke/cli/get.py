"""``buke get``: a model or a known data set by name; progress to stderr, the path (or JSON) to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from buke import hub
from buke.hub.fetch import Fetched, Watch, fetch_file, fetch_model, spoken
from buke.hub.names import DataSet, dataset
from buke.hub.places import ENDPOINTS, Place
from buke.words import LANGUAGES, Refusal, language, t


def get_by_name(what: str, source: str, to: Path | None, lang: str, as_json: bool) -> None:
    """Fetch, and print where it lies. lang: of the data; "" is the language in force. Raises Refusal."""
    if source not in ENDPOINTS:
        raise Refusal(t("hub.get_bad_from", value=source), t("hub.get_needs_from"))
    try:
        known = dataset(what)
        result = _data(known, source, to, lang or language()) if known else _model(what, source, to)
    except KeyboardInterrupt:
        print(f"\n{t('hub.get_kept')}", file=sys.stderr)
        sys.exit(130)
    print(json.dumps(result, ensure_ascii=False) if as_json else result["path"])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _data(known: DataSet, source: str, to: Path | None, lang: str) -> dict[str, Any]:
    """The file of a data set in one language, into ``to`` or the current folder."""
    place, path = Place(source, "datasets", known.on[source]), known.files[lang]
    other = next(each for each in LANGUAGES if each != lang)
    _say(t("hub.get_lang", lang=lang, path=path, other=other))
    folder = (to or Path()).expanduser().absolute()
    with _watching() as watch:
        return _told(fetch_file(place, path, folder, known.licence, _say, watch), folder / path)


def _model(name: str, source: str, to: Path | None) -> dict[str, Any]:
    """A model, into ``to`` or the place where ``--model NAME`` finds it."""
    if name.lower() == hub.EMBEDDED:
        if to:
            raise Refusal(t("hub.get_embedded_to"))
        return {"name": hub.EMBEDDED, "path": str(hub.resolve(hub.EMBEDDED, _say))}
    full = hub.full_name(name)
    folder = to.expanduser().absolute() if to else None
    if found := hub.on_disk(full, folder):
        _say(t("hub.here", name=full, folder=found))
        return {"name": full, "path": str(found), "fetched": 0}
    folder = folder or hub.own_folder(full)
    with _watching() as watch:
        fetched = fetch_model(Place(source, "models", full), folder, to is None, _say, watch)
    hub.check_model_folder(folder)
    return _told(fetched, folder)


def _told(done: Fetched, path: Path) -> dict[str, Any]:
    """What ``--json`` prints: where it lies, whose it is, and each file with its size in bytes and its hash."""
    files = [{"name": file.path, "bytes": file.size, "hash": f"{file.kind}:{file.digest}"} for file in done.files]
    return {
        "name": done.place.name, "from": done.place.endpoint, "path": str(path), "licence": done.licence,
        "fetched": done.fetched, "bytes": sum(file.size for file in done.files), "files": files,
    }  # fmt: skip


@contextmanager
def _watching() -> Iterator[Watch]:
    """A bar on a terminal, a plain line now and then in a pipe."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield spoken(_say)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:

        def show(name: str, done: int, total: int) -> None:
            if not bar.tasks:  # begun here, so that the speed does not count what was there before
                bar.add_task(name, total=total, completed=done)
            bar.update(bar.tasks[0].id, description=name, completed=done)

        yield show
