"""Tables larger than memory: on disk the same rows, the same preprocessing and a real shuffle."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nnarch.data import dataset as datasets
from nnarch.data import spool as spools
from nnarch.data import streamed
from nnarch.data.batch import Batch
from nnarch.data.parting import divide, taken
from nnarch.data.preprocessing.tableinputs import TableInputs
from nnarch.data.split import PARTS
from nnarch.data.spool import Spool, blocks, spooled, take
from nnarch.data.streamed import Streamed
from nnarch.data.table import Table, numeric
from nnarch.errors import DataError, MachineError
from test_dataset import assert_fitted_alike, mixed, options, trained


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few hundred rows are many blocks and several buffers."""
    monkeypatch.setattr(spools, "BLOCK", 50)
    monkeypatch.setattr(streamed, "BLOCK", 16)
    monkeypatch.setattr(streamed, "BUFFER", 64)


def filled(rows: int, columns: int = 3, pieces: int = 4) -> tuple[Spool, Tensor]:
    """A spool that was written in pieces, and what it holds; NaN and zeros of both signs too."""
    values = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)).double()
    values[::7, 0], values[1::7, 1], values[2::7, -1] = torch.nan, -0.0, 1e300
    made = Spool(columns)
    for piece in values.tensor_split(pieces):
        made.append(piece)
    return made, values


def bits(rows: Tensor) -> Any:
    return rows.contiguous().view(torch.int64).tolist()


def test_what_was_written_is_read_bit_by_bit():
    made, values = filled(301)
    assert (len(made), made.shape) == (301, (301, 3))
    assert bits(made.stretch(0, 301)) == bits(values)
    assert bits(made.stretch(99, 240)) == bits(values[99:240])
    assert made.stretch(5, 5).shape == (0, 3)


def test_rows_that_lie_apart_in_memory_are_written_as_rows():
    values = torch.arange(12.0, dtype=torch.float64).view(3, 4)
    made = Spool(3)
    made.append(values.t())
    assert made.stretch(0, 4).tolist() == values.t().tolist()


def test_a_table_may_have_no_rows_or_no_columns():
    made = Spool(3)
    made.append(torch.empty(0, 3, dtype=torch.float64))
    assert made.shape == (0, 3)
    narrow = Spool(0)
    narrow.append(torch.empty(4, 0, dtype=torch.float64))
    assert narrow.take(torch.arange(4)).shape == narrow.shape == (4, 0)


@given(st.data())
def test_any_rows_that_ascend_are_read(data: st.DataObject):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spools, "BLOCK", data.draw(st.integers(1, 40)))
        made, values = filled(120)
        chosen = torch.tensor(sorted(data.draw(st.sets(st.integers(0, 119)))), dtype=torch.int64)
        assert bits(made.take(chosen)) == bits(values[chosen])
        assert bits(take(made, chosen)) == bits(take(values, chosen))
        size = data.draw(st.integers(1, 50))
        pieces = list(blocks(made, chosen, size))
        assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
        assert bits(torch.cat(pieces)) == bits(values[chosen])


@pytest.mark.usefixtures("small_blocks")
def test_a_column_is_read_whole():
    made, values = filled(301)
    for place in range(3):
        assert bits(made.column(place)) == bits(values[:, place])


def test_a_file_has_no_name_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made, _ = filled(300)
    assert list(tmp_path.iterdir()) == []
    del made


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """/dev/full answers as a full disk does."""
    full = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(MachineError) as refused:
        filled(10)
    assert refused.value.exit_code == 7
    (line,) = refused.value.lines
    assert line.startswith(f"{tmp_path}: no space left on device, after 0 rows of a table")
    assert "TMPDIR" in line


def chunked(table: Table, size: int) -> Iterator[Table]:
    for rows in torch.arange(len(table)).split(size):
        yield taken(table, rows)


@pytest.mark.parametrize("target", ["number", "words", "labels"])
@pytest.mark.parametrize("size", [1, 33, 1000])
def test_chunks_become_one_table(target: str, size: int):
    given = mixed(150, target)
    found = spooled(chunked(given, size))
    assert isinstance(found.inputs, Spool)
    assert found.columns == given.columns
    assert len(found) == 150
    everything = torch.arange(150)
    assert bits(take(found.inputs, everything)) == bits(given.inputs)
    assert given.parts is not None
    assert found.parts is not None
    assert torch.equal(found.parts, given.parts)
    if isinstance(given.target, Tensor):
        assert isinstance(found.target, Tensor)
        assert torch.equal(found.target, given.target)
    else:
        assert found.target == given.target


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "numbers": ("number", {}),
    "words": ("words", {"scaling": "quantile"}),
    "labels": ("labels", {"scaling": "robust", "missing": "mean"}),
    "embedding": ("number", {"categories": "embedding", "scaling": "minmax"}),
    "some columns": ("words", {"columns": ["colour", "large"]}),
}


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.inputs, other.inputs) and torch.equal(one.target, other.target)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("parted", [True, False])
@pytest.mark.parametrize(("target", "given"), WAYS.values(), ids=WAYS)
def test_on_disk_everything_is_as_in_memory(target: str, given: dict[str, Any], parted: bool):
    table, spec = mixed(400, target), options(**given)
    table = table if parted else replace(table, parts=None)
    disk = spooled(chunked(table, 70))
    here, there = (datasets.make(data, spec, None) for data in (table, disk))
    assert (here.task, here.lowest) == (there.task, there.lowest)
    assert [note for note in there.notes if note not in here.notes] == [
        "the table stays on disk, 400 rows of it, and is read a block at a time"
    ]
    assert set(here.notes) <= set(there.notes)
    assert (here.shared, here.fingerprint) == (there.shared, there.fingerprint)
    assert_fitted_alike(here, there)
    one, other = (divide(data, spec, here.task) for data in (table, disk))
    for part in PARTS:
        assert torch.equal(one[part], other[part])
        rows = there.parts[part]
        assert isinstance(rows, Streamed)
        assert len(rows) == len(here.parts[part])
        pairs = zip(here.parts[part].in_order(37), rows.in_order(37), strict=True)
        assert all(same(*pair) for pair in pairs)


def numbered(rows: int, held_out: int = 10) -> Streamed:
    """The training rows of a table on disk, each of which holds its own number."""
    inputs = torch.arange(rows).double().view(-1, 1).repeat(1, 2)
    parts = torch.zeros(rows, dtype=torch.int64)
    parts[-held_out:] = torch.arange(held_out) % 2 + 1
    table = Table(inputs, numeric("ab"), inputs[:, :1] * 10, ("y",), parts)
    spec = options(scaling="none", target_scaling="none", columns=["a"])
    made = datasets.make(spooled(chunked(table, 97)), spec, None, torch.float64).parts["train"]
    assert isinstance(made, Streamed)
    return made


def epoch(
    rows: Streamed, sizes: list[int], seed: int = 0, number: int = 1, how: Any = "shuffled"
) -> list[list[int]]:
    """The numbers of the rows in each batch."""
    batches = list(rows.epoch(sizes, seed, number, how))
    assert [len(batch.inputs) for batch in batches] == sizes
    for batch in batches:
        assert torch.equal(batch.target, batch.inputs * 10)
        assert torch.equal(rows.prepare(batch.inputs), batch.inputs)
    return [batch.inputs[:, 0].long().tolist() for batch in batches]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("sizes", [[300], [7] * 42 + [6], [290, 10], [1, 299]], ids=str)
def test_an_epoch_holds_every_row_once(sizes: list[int]):
    rows = numbered(310)
    for number in (1, 2):
        found = [*chain(*epoch(rows, sizes, number=number))]
        assert sorted(found) == list(range(300))
        assert found != list(range(300))


@pytest.mark.usefixtures("small_blocks")
def test_what_sizes_leave_out_is_left_out():
    rows = numbered(310)
    whole = epoch(rows, [300])[0]
    assert [*chain(*epoch(rows, [80] * 3))] == whole[:240]


@pytest.mark.usefixtures("small_blocks")
def test_in_sequence_an_epoch_is_the_rows_in_order():
    rows = numbered(310)
    assert [*chain(*epoch(rows, [100, 100, 100], how="sequential"))] == list(range(300))


@pytest.mark.usefixtures("small_blocks")
def test_an_order_is_that_of_its_seed_and_epoch():
    rows, again = numbered(310), numbered(310)
    torch.manual_seed(1)
    first = epoch(rows, [300], seed=3, number=2)
    torch.manual_seed(2)
    epoch(again, [100, 200], seed=3, number=1)
    assert [*chain(*epoch(again, [100, 200], seed=3, number=2))] == first[0]
    assert epoch(rows, [300], seed=3, number=1) != first
    assert epoch(rows, [300], seed=4, number=2) != first


def test_neighbours_in_the_file_are_seldom_neighbours_in_a_batch():
    """With its own sizes of blocks and buffers, of a file that is sorted."""
    found = torch.tensor(epoch(numbered(20_010), [20_000])[0])
    near = (found.diff().abs() <= 16).float().mean()
    assert near < 10 * 32 / 20_000
    # a batch of any size is from everywhere
    means = found.view(-1, 500).double().mean(1)
    assert (means - 9_999.5).abs().max() < 6 * 20_000 / 12**0.5 / 500**0.5


@pytest.mark.usefixtures("small_blocks")
def test_several_buffers_mix_blocks_from_everywhere():
    """A buffer of four blocks of 16 rows, each from any place of the file."""
    buffers = torch.tensor(epoch(numbered(650), [64] * 10))
    for rows in buffers:
        assert len((rows // 16).unique()) == 4
        assert rows.tolist() != sorted(rows.tolist())
    spread = buffers.amax(1) - buffers.amin(1)
    assert spread.double().mean() > 250


@pytest.mark.usefixtures("small_blocks")
def test_the_first_few_and_another_number_type():
    rows = numbered(310).first(9).to(torch.device("cpu"), torch.float32)
    assert len(rows) == 9
    (batch,) = rows.in_order(100)
    assert batch.inputs.flatten().tolist() == list(range(9))
    assert batch.inputs.dtype == batch.target.dtype == torch.float32


@pytest.mark.usefixtures("small_blocks")
def test_training_reads_from_disk():
    made = datasets.make(spooled(chunked(mixed(400), 70)), options(), None)
    first, weights = trained(made)
    again, others = trained(made)
    assert [record.train_loss for record in first] == [record.train_loss for record in again]
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    assert first[-1].train_loss < first[0].train_loss


class Watched(Spool):
    """A spool that keeps how many rows it was asked for at once."""

    def __init__(self, columns: int):
        super().__init__(columns)
        self.most = 0

    def stretch(self, start: int, stop: int) -> Tensor:
        self.most = max(self.most, stop - start)
        return super().stretch(start, stop)


@pytest.mark.usefixtures("small_blocks")
def test_no_more_than_a_stretch_is_read_at_once():
    table = mixed(600)
    watched = Watched(table.inputs.shape[1])
    watched.append(table.inputs)
    made: Any = replace(table, inputs=watched)
    found = datasets.make(made, options(), None)
    for part in PARTS:
        list(found.parts[part].in_order(40))
    list(found.parts["train"].epoch([60] * 8, 0, 1, "shuffled"))
    assert 0 < watched.most <= 50


def test_words_that_no_training_row_holds_are_any_other_word_on_disk_too():
    table = mixed(120)
    made = datasets.make(spooled(chunked(table, 50)), options(), None)
    inputs = made.preprocess.inputs
    assert isinstance(inputs, TableInputs)
    assert "colour=only held out" not in inputs.output_names


def test_a_target_that_is_missing_is_refused_before_anything_is_read():
    table = mixed(120)
    assert isinstance(table.target, Tensor)
    table.target[5] = torch.nan
    with pytest.raises(DataError, match=r"data: 1 of 120 rows lack y \(the first is row 6\)"):
        datasets.make(spooled(chunked(table, 50)), options(), None)
