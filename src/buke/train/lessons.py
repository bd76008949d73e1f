"""What a run learns from: its files read, encoded and split, or taken from the cache where all that was done before."""

from __future__ import annotations

from pathlib import Path

from buke import encoded, hub, intake, prompt
from buke.config import Settings
from buke.encoded import Lessons
from buke.prompt import Prompt, TutorialPrompt
from buke.records import Example, Finding
from buke.runfolder import sha256_of
from buke.words import Refusal, t

LENGTH = 4096  # tokens; the longest record where the user says nothing
Reads = list[intake.Intake]  # of the files to learn from and, where one is named, of the file held out
Ids = tuple[list[str], list[str]]  # of records to learn, of records held out


def read_data(settings: Settings, paths: list[str], limit: int | None = None) -> intake.Intake:
    """Records of files, read as the settings say."""
    found = intake.read([Path(path) for path in paths], intake.options_of(settings), limit=limit)
    intake.settle(found.records, settings.without_thought)
    return found


def read_all(settings: Settings) -> Reads:
    """All files that the settings name."""
    found = [read_data(settings, settings.data, settings.limit)]
    return [*found, read_data(settings, [settings.held_out_file])] if settings.held_out_file else found


def lessons_of(settings: Settings, spoken: Prompt, reads: Reads | None, only: Ids | None = None) -> Lessons:
    """What the settings' files teach. reads: what was read of them, where they were read already.

    only: ids of the records to learn and of those to hold out, in place of the files' own split.
    """
    if only is not None:
        return _chosen(settings, spoken, reads or read_all(settings), only)
    hashes = hashes_of(settings)
    folder, key = hub.cache_folder() / "encoded", encoded.key(spoken, settings, hashes)
    if hashes and (kept := encoded.load(folder, key)):
        return kept
    made = _split(settings, spoken, reads or read_all(settings))
    if [file.sha256 for file in made.files] == [digest for _, digest in hashes]:  # not written to meanwhile
        encoded.save(folder, key, made)
    return made


def hashes_of(settings: Settings) -> list[tuple[str, str]]:
    """The settings' files, each with its SHA-256; none where one cannot be read, which reading it will say."""
    named = [Path(path) for path in settings.data]
    if settings.held_out_file:
        named.append(Path(settings.held_out_file))
    try:
        return [(str(path), sha256_of(path)) for each in named for path in intake.files_of([each])]
    except OSError:
        return []


def _split(settings: Settings, spoken: Prompt, reads: Reads) -> Lessons:
    """Encode the records and hold some out: those of a file of their own, or a share by content hash."""
    read, apart = reads[0], reads[1] if len(reads) > 1 else None
    examples, findings = _encode(settings, spoken, read)
    by_id = {example.id: example for example in examples}  # not by source: a line may hold many records
    usable = [record for record in read.records if record.id in by_id]
    if apart is None:
        learn, records = intake.split(usable, settings.held_out)
        held_out = [by_id[record.id] for record in records]
    else:
        held_out, more = _encode(settings, spoken, apart)
        ids = {example.id for example in held_out}
        learn, records = usable, [record for record in apart.records if record.id in ids]
        findings += more
    learn, leaks = intake.leaks(learn, records)
    findings += leaks
    if not learn:
        raise Refusal(t("train.none_left"), t("train.none_left_hint"), tuple(str(f) for f in findings[:20]))
    if isinstance(spoken, TutorialPrompt):  # its training rows are cut and padded; scoring takes the whole record
        held_out = [spoken.scored(record) for record in records]
    train = [by_id[record.id] for record in learn]
    files = [file for each in reads for file in each.files]
    return Lessons(train, held_out, records, findings, files, sum(each.read for each in reads))


def _chosen(settings: Settings, spoken: Prompt, reads: Reads, only: Ids) -> Lessons:
    """The records with these ids, in this order. Raises Refusal where one of them is no longer in the files."""
    examples: dict[str, Example] = {}
    findings: list[Finding] = []
    for read in reads:
        made, left_out = _encode(settings, spoken, read)
        examples |= {example.id: example for example in made}
        findings += left_out
    by_id = {record.id: record for read in reads for record in read.records}
    if missing := [id for ids in only for id in ids if id not in examples]:
        raise Refusal(t("train.gone", count=len(missing)), t("train.changed_hint"))
    train, records = [examples[id] for id in only[0]], [by_id[id] for id in only[1]]
    held_out = [spoken.scored(r) if isinstance(spoken, TutorialPrompt) else examples[r.id] for r in records]
    files = [file for read in reads for file in read.files]
    return Lessons(train, held_out, records, findings, files, sum(read.read for read in reads))


def _encode(settings: Settings, spoken: Prompt, read: intake.Intake) -> tuple[list[Example], list[Finding]]:
    """Examples of what was read, and every finding so far."""
    length, shorten = int(settings.length or LENGTH), settings.overlong == "shorten"
    examples, left_out = prompt.build(spoken, read.records, length, shorten)
    return examples, [*read.findings, *left_out]
