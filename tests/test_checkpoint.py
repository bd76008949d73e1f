"""Checkpoints: everything comes back bit for bit, a damaged one is passed over, old ones go."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import nn

from buke import checkpoint
from buke.checkpoint import BEST, OPTIMIZER, STATE, WEIGHTS, Progress, Restored
from buke.model import safetensors_of
from buke.words import Refusal
from faults import Faulty, failing, on


def made(width: int = 5) -> tuple[dict[str, nn.Parameter], torch.optim.AdamW]:
    """Parameters with random values, and an optimizer that has not stepped yet."""
    parameters = {"a": nn.Parameter(torch.randn(3, width)), "b": nn.Parameter(torch.randn(4))}
    return parameters, torch.optim.AdamW(parameters.values(), lr=0.1)


def step(parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW) -> None:
    """One optimizer step with a random gradient, so that the random state matters."""
    for parameter in parameters.values():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def step_of(found: Restored) -> int:
    assert found.progress is not None
    return found.progress.step


def saved(run: Path, steps: int, keep: int = 2) -> tuple[dict[str, nn.Parameter], torch.optim.AdamW]:
    parameters, optimizer = made()
    run.mkdir(exist_ok=True)
    for number in range(1, steps + 1):
        step(parameters, optimizer)
        checkpoint.save(run, Progress(step=number), parameters, optimizer, {}, keep)
    return parameters, optimizer


def test_going_on_from_a_checkpoint_is_going_on(tmp_path: Path) -> None:
    parameters, optimizer = made()
    for _ in range(3):
        step(parameters, optimizer)
    progress = Progress(3, 1.25, 2, 2, 1, skipped_in_a_row=2, seconds=0.5)
    best = {"a": torch.arange(4.0)}
    folder = checkpoint.save(tmp_path, progress, parameters, optimizer, best, 2)
    assert (folder.parent.name, folder.name) == ("checkpoints", "000003")
    for _ in range(4):
        step(parameters, optimizer)

    again, other = made()
    step(again, other)  # state of its own, to be replaced
    found = checkpoint.restore(tmp_path, again, other)
    assert found.progress == progress
    assert checkpoint.best_of(tmp_path, 2).keys() == {"a"}
    assert checkpoint.best_of(tmp_path, 3) == {}  # its best is another
    assert torch.equal(found.best["a"], best["a"])
    for _ in range(4):
        step(again, other)
    for name, parameter in parameters.items():
        assert torch.equal(again[name], parameter)


def test_a_checkpoint_holds_safetensors_and_json_and_names_their_hashes(tmp_path: Path) -> None:
    parameters, optimizer = made()
    step(parameters, optimizer)
    folder = checkpoint.save(tmp_path, Progress(1), parameters, optimizer, {"a": torch.ones(1)}, 2)
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, OPTIMIZER, BEST, STATE}
    state = json.loads((folder / STATE).read_text())
    assert set(state["sha256"]) == {WEIGHTS, OPTIMIZER, BEST}
    assert state["progress"] == asdict(Progress(1))


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 5, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["000004", "000005"]
    parameters, optimizer = made()
    assert step_of(checkpoint.restore(tmp_path, parameters, optimizer)) == 5


def test_saving_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    parameters, optimizer = saved(tmp_path, 2)
    with torch.no_grad():
        parameters["b"].fill_(7)
    checkpoint.save(tmp_path, Progress(2), parameters, optimizer, {}, 2)
    again, other = made()
    checkpoint.restore(tmp_path, again, other)
    assert again["b"].tolist() == [7, 7, 7, 7]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the weights": lambda folder: flip(folder / WEIGHTS),
    "weights cut off": lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9]),
    "optimizer gone": lambda folder: (folder / OPTIMIZER).unlink(),
    "state gone": lambda folder: (folder / STATE).unlink(),
    "state empty": lambda folder: (folder / STATE).write_text(""),
    "state cut off": lambda folder: (folder / STATE).write_text((folder / STATE).read_text()[:50]),
    "state of another kind": lambda folder: (folder / STATE).write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(damage: str, tmp_path: Path) -> None:
    saved(tmp_path, 3)
    DAMAGES[damage](tmp_path / "checkpoints" / "000003")
    parameters, optimizer = made()
    assert step_of(checkpoint.restore(tmp_path, parameters, optimizer)) == 2


def test_without_a_whole_checkpoint_restoring_touches_nothing_and_names_the_damaged(tmp_path: Path) -> None:
    parameters, optimizer = made()
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    assert checkpoint.restore(tmp_path, parameters, optimizer) == Restored(None, {})
    saved(tmp_path, 2)
    folders = sorted((tmp_path / "checkpoints").iterdir(), reverse=True)
    for folder in folders:
        flip(folder / OPTIMIZER)
    assert checkpoint.restore(tmp_path, parameters, optimizer) == Restored(None, {}, tuple(folders))
    assert all(torch.equal(parameters[name], before[name]) for name in before)
    assert not optimizer.state


def test_a_checkpoint_of_another_adapter_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    parameters, optimizer = made(width=6)
    with pytest.raises(Refusal, match="does not fit"):
        checkpoint.restore(tmp_path, parameters, optimizer)


def test_a_checkpoint_left_half_written_does_not_count(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    part = tmp_path / "checkpoints" / ".000002.1.part"
    part.mkdir()
    (part / STATE).write_text("{}")
    parameters, optimizer = made()
    assert step_of(checkpoint.restore(tmp_path, parameters, optimizer)) == 1
    step(parameters, optimizer)
    checkpoint.save(tmp_path, Progress(2), parameters, optimizer, {}, 2)  # the remains are in nobody's way
    assert step_of(checkpoint.restore(tmp_path, *made())) == 2


def test_our_safetensors_are_those_of_the_library(tmp_path: Path) -> None:
    """Byte for byte, for types of every width, scalars, empty tensors and views."""
    tensors = {
        "b/step": torch.tensor(3.0),
        "a": torch.arange(6.0).reshape(2, 3).T,
        "half": torch.randn(3).to(torch.bfloat16),
        "wide": torch.arange(2, dtype=torch.int64),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "none": torch.zeros(0, 4),
    }
    ours = b"".join(bytes(piece) for piece in safetensors_of(tensors))
    library = save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"format": "pt"})
    assert ours == library
    back = load(ours)
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with checkpoints of the steps 1, 2 and 3."""
    run = tmp_path_factory.mktemp("three")
    parameters, optimizer = made()
    for number in range(1, 4):
        step(parameters, optimizer)
        checkpoint.save(run, Progress(number, 0.5), parameters, optimizer, {"a": torch.ones(2)}, 3)
    return run


@settings(max_examples=40)
@given(st.data())
def test_damage_at_any_place_is_recognised_and_the_checkpoint_before_is_used(three: Path, data: st.DataObject) -> None:
    """A file cut off at any byte, a flipped bit anywhere, a block of zeros: what a disk does to files."""
    name = data.draw(st.sampled_from([WEIGHTS, OPTIMIZER, BEST, STATE]))
    path = three / "checkpoints" / "000003" / name
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "bit", "zeros"]))
    hurt = bytearray(whole)
    if kind == "cut":
        del hurt[place:]
    elif kind == "bit":
        hurt[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        hurt[place : place + 64] = bytes(len(hurt[place : place + 64]))
    assume(hurt.rstrip() != whole.rstrip())  # without its last line end, state.json says the same
    path.write_bytes(hurt)
    try:
        found = checkpoint.restore(three, *made())
        assert (step_of(found), found.damaged) == (2, (path.parent,))
        assert checkpoint.newest(three) == 2
    finally:
        path.write_bytes(whole)
    assert checkpoint.restore(three, *made()).damaged == ()


def calls_of_a_save(run: Path) -> int:
    parameters, optimizer = saved(run, 2)
    with on(Faulty()) as disk:
        step(parameters, optimizer)
        checkpoint.save(run, Progress(3), parameters, optimizer, {"a": torch.ones(2)}, 2)
    assert isinstance(disk, Faulty)
    return disk.calls


@pytest.mark.parametrize(("number", "forever"), [(errno.ENOSPC, True), (errno.EIO, False), (errno.EROFS, True)])
def test_a_fault_at_any_write_leaves_a_whole_checkpoint_and_the_next_save_works(
    number: int, forever: bool, tmp_path: Path
) -> None:
    calls = calls_of_a_save(tmp_path / "count")
    assert calls > 20
    for at in range(1, calls + 1):
        run = tmp_path / str(at)
        parameters, optimizer = saved(run, 2)
        step(parameters, optimizer)
        with on(Faulty(at, failing(number), forever)), suppress(OSError):
            checkpoint.save(run, Progress(3), parameters, optimizer, {"a": torch.ones(2)}, 2)
        found = checkpoint.restore(run, *made())
        assert found.damaged == ()
        assert step_of(found) in (2, 3)
        names = {path.name for path in (run / "checkpoints").iterdir()}
        assert {f"{step_of(found):06d}"} <= names
        assert all(len(list((run / "checkpoints" / name).iterdir())) >= 3 for name in names if name.isdecimal())
        assert not [name for name in names if name.startswith(".000003")]  # nothing half written stays
        checkpoint.save(run, Progress(4), parameters, optimizer, {}, 2)
        assert checkpoint.newest(run) == 4
        assert len(list((run / "checkpoints").iterdir())) == 2


def test_a_process_killed_while_a_checkpoint_is_replaced_leaves_the_old_one(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    place = tmp_path / "checkpoints"
    (place / "000002").rename(place / "000002.old")  # as between the two renamings
    assert step_of(checkpoint.restore(tmp_path, *made())) == 2
    parameters, optimizer = made()
    checkpoint.restore(tmp_path, parameters, optimizer)
    checkpoint.save(tmp_path, Progress(2), parameters, optimizer, {}, 2)
    assert sorted(path.name for path in place.iterdir()) == ["000001", "000002"]


def test_a_run_folder_that_vanished_does_not_come_back_half(tmp_path: Path) -> None:
    parameters, optimizer = saved(tmp_path / "run", 1)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(FileNotFoundError):
        checkpoint.save(tmp_path / "run", Progress(2), parameters, optimizer, {}, 2)
    assert not (tmp_path / "run").exists()
