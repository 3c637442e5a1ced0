"""Every token of a text at once: the same tokens are predicted, and each counts once."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import nnarch
from nnarch import config as configs
from nnarch import evaluation, experiment, trained
from nnarch.check import datareport
from nnarch.data import dataset as datasets
from nnarch.data.batch import NOTHING, answered
from nnarch.data.batches import Contexts, Rows
from nnarch.data.inputs import Inputs
from nnarch.data.passages import Passages
from nnarch.data.tokens import Tokens
from nnarch.errors import ConfigError
from nnarch.models import network as networks
from nnarch.options import Count
from nnarch.registry import models
from nnarch.rundir import RunDir
from nnarch.validate import fill_component

PARTS = ("train", "val", "test")
CONTEXT, BATCH, SEED = 5, 6, 3


class Recurrent(nn.Module):
    """(B, T) tokens to (B, T, V); a bidirectional one sees what comes later."""

    def __init__(self, vocabulary: int, width: int, both: bool):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=both)
        self.out = nn.Linear(width * (1 + both), vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.gru(self.embed(tokens))[0])


@pytest.fixture(autouse=True, scope="module")
def _registered() -> Iterator[None]:
    """A network that answers to every token, for this file alone."""

    def every_token(
        inputs: tuple[int, ...], outputs: int, *, width: Count = 8, both: bool = False
    ) -> nn.Module:
        """A recurrent network that answers to every token."""
        return Recurrent(outputs, width, both)

    models.register(codes=True, autoregressive=True)(every_token)
    yield
    models._components.pop("every_token")


def written(home: Path, lines: int = 40) -> Path:
    """A file of words of one to nine letters, one a line."""
    chance = random.Random(0)
    words = ["".join(chance.choices("aaabcd", k=chance.randint(1, 9))) for _ in range(lines)]
    path = home / "words.txt"
    path.write_text("\n".join(words) + "\n")
    return path


def config(path: Path, **changes: Any) -> dict[str, Any]:
    data = {"source": "text", "path": str(path), "documents": "lines", "context": CONTEXT}
    return {
        "data": data,
        "model": "every_token",
        "optimizer": {"name": "sgd", "lr": 0.5},
        "sampling": "sequential",
        "precision": "float64",
        "batch_size": BATCH,
        "epochs": 2,
        "seed": SEED,
        "threads": 1,
        **changes,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    home = tmp_path_factory.mktemp("every")
    return nnarch.train(config(written(home)), runs_dir=home / "runs")


def history(run: RunDir) -> list[dict[str, float]]:
    names, *rows = [line.split(",") for line in (run.path / "history.csv").read_text().splitlines()]
    return [dict(zip(names, map(float, row), strict=True)) for row in rows]


def cut(document: list[int], context: int) -> list[tuple[list[int], list[int]]]:
    """The passages of a whole document, by hand."""
    seen, targets = [0, *document[:-1]], document
    return [
        (
            (seen[start : start + context] + [0] * context)[:context],
            (targets[start : start + context] + [NOTHING] * context)[:context],
        )
        for start in range(0, len(document), context)
    ]


def joined(rows: Rows) -> tuple[Tensor, Tensor]:
    inputs, target = zip(*((one.inputs, one.target) for one in rows.in_order(7)), strict=True)
    return torch.cat(inputs), torch.cat(target)


# What a passage is

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def contexts(lengths: list[int], places: Tensor, context: int) -> Contexts:
    """Documents of these lengths, in which every token is another."""
    ends = torch.tensor([0, *lengths]).cumsum(0)
    begins = ends[:-1].repeat_interleave(torch.tensor(lengths))
    return Contexts(torch.arange(1, int(ends[-1]) + 1), places, begins, context, 0)


@given(LENGTHS, st.integers(1, 6))
def test_documents_are_cut_from_their_beginning(lengths: list[int], context: int):
    each = contexts(lengths, torch.arange(sum(lengths)), context)
    inputs, target = joined(Passages.of(each))
    ends = np.cumsum([0, *lengths]).tolist()
    expected = [
        passage
        for start, stop in pairwise(ends)
        for passage in cut(each.ids[start:stop].tolist(), context)
    ]
    assert inputs.tolist() == [seen for seen, _ in expected]
    assert target.tolist() == [told for _, told in expected]
    assert (inputs.dtype, target.dtype) == (torch.int64, torch.int64)


@given(LENGTHS, st.integers(1, 6), st.randoms())
def test_any_tokens_are_each_a_target_once_after_the_token_before(
    lengths: list[int], context: int, chance: random.Random
):
    places = sorted(chance.sample(range(sum(lengths)), chance.randint(1, sum(lengths))))
    each = contexts(lengths, torch.tensor(places), context)
    inputs, target = joined(Passages.of(each))
    there = target != NOTHING
    before, truth = joined(each)
    assert target[there].tolist() == truth.tolist()
    assert inputs[there].tolist() == before[:, -1].tolist()
    assert not inputs[~there].any()
    assert there.any(1).all()
    assert (there.long().diff() <= 0).all()  # what is missing is missing at the end


def tokens(documents: int) -> Tokens:
    chance = random.Random(1)
    lengths = [chance.randint(1, 14) if documents > 1 else 90 for _ in range(documents)]
    ends = torch.tensor([0, *lengths]).cumsum(0)
    count = int(ends[-1])
    vocabulary = tuple(map(str, range(count + 1)))
    return Tokens(torch.arange(1, count + 1), ends, vocabulary, 4)


@pytest.mark.parametrize("documents", [1, 30])
def test_the_parts_hold_the_tokens_that_ordinary_networks_predict(documents: int):
    given = tokens(documents)
    spec, faults = fill_component("data", {"source": "synthetic"}, ())
    assert not faults
    one_by_one, at_once = (datasets.make(given, spec, None, every=every) for every in (False, True))
    for part in PARTS:
        target = joined(at_once.parts[part])[1]
        assert target[target != NOTHING].tolist() == joined(one_by_one.parts[part])[1].tolist()
        assert sorted(target[target != NOTHING].tolist()) == (one_by_one.chosen[part] + 1).tolist()
    assert at_once.task == one_by_one.task
    assert at_once.fingerprint == one_by_one.fingerprint
    assert (at_once.noun, at_once.inputs) == ("tokens", Inputs((4,), vocabulary=len(given) + 1))


def test_answers_lie_side_by_side_where_there_is_a_target():
    outputs = torch.arange(12.0).view(2, 2, 3)
    rows, truth = answered(outputs, torch.tensor([[1, NOTHING], [0, 2]]))
    assert torch.equal(rows, outputs.view(4, 3)[[0, 2, 3]])
    assert truth.tolist() == [1, 0, 2]
    numbers, target = torch.zeros(4, 3), torch.ones(4, 3)
    assert answered(numbers, target) == (numbers, target)  # the very tensors


# Training and measuring


def by_hand(run: RunDir) -> Iterator[tuple[float, nn.Module]]:
    """The loss and the network of each epoch of a loop as anyone would write it."""
    data = experiment.data_of(configs.load(run.config))[1]
    assert isinstance(data, Tokens)
    wanted = set(experiment.data_of(configs.load(run.config))[2].chosen["train"].tolist())
    passages = [
        passage
        for start, stop in pairwise(data.documents.tolist())
        if start in wanted
        for passage in cut(data.ids[start:stop].tolist(), CONTEXT)
    ]
    inputs, target = (torch.tensor(part) for part in zip(*passages, strict=True))
    spec = configs.load(run.config).model
    size = len(data.vocabulary)
    network = networks.make(spec, Inputs((CONTEXT,), vocabulary=size), size, SEED).double()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    while True:
        total = count = 0.0
        for seen, told in zip(inputs.split(BATCH), target.split(BATCH), strict=True):
            made = network(seen)
            loss = F.cross_entropy(made.flatten(0, 1), told.flatten(), ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            here = int((told != -1).sum())
            total, count = total + float(loss.detach()) * here, count + here
        yield total / count, network


def test_training_is_that_of_a_loop_written_by_hand(run: RunDir):
    expected = by_hand(run)
    rows = history(run)
    for row in rows:
        loss, _ = next(expected)
        assert row["train_loss"] == pytest.approx(loss, rel=1e-9)
    assert rows[1]["train_loss"] < rows[0]["train_loss"]


def test_a_run_is_measured_again_as_it_was(run: RunDir):
    assert nnarch.evaluate(run) == run.about["results"]["test"]
    best = history(run)[run.about["results"]["best_epoch"] - 1]
    again = nnarch.evaluate(run, "val")
    assert again["loss"] == pytest.approx(best["val_loss"], rel=1e-12)
    assert again["accuracy"] == best["val_accuracy"]


def measured_by_hand(run: RunDir) -> tuple[float, float]:
    """Mean loss and accuracy over the test tokens, each told from its document's passage."""
    dataset = experiment.data_of(configs.load(run.config))[2]
    (batch,) = dataset.parts["test"].in_order(10**6)
    made = nnarch.load(run).network(batch.inputs).detach()
    losses, right = [], []
    for outputs, target in zip(made.flatten(0, 1), batch.target.flatten().tolist(), strict=True):
        if target != -1:
            losses.append(-float(outputs.log_softmax(0)[target]))
            right.append(int(outputs.argmax()) == target)
    return sum(losses) / len(losses), sum(right) / len(right)


@pytest.mark.parametrize("chunk", [1, 13, 8192])
def test_every_token_counts_once_however_many_are_computed_together(
    run: RunDir, chunk: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(evaluation, "CHUNK", chunk)
    loss, accuracy = measured_by_hand(run)
    measured = trained.evaluate_run(run)
    assert measured.loss == pytest.approx(loss, rel=1e-6)
    assert measured.metrics["accuracy"] == pytest.approx(accuracy)
    assert len(measured.result.target) == len(
        experiment.data_of(configs.load(run.config))[2].chosen["test"]
    )


def test_what_is_said_counts_tokens_and_passages(run: RunDir):
    log = (run.path / "log.txt").read_text()
    dataset = experiment.data_of(configs.load(run.config))[2]
    counts = [len(dataset.chosen[part]) for part in PARTS]
    parts = ", ".join(f"{count} {part}" for count, part in zip(counts, PARTS, strict=True))
    assert f"{sum(counts)} tokens ({parts}), inputs of {CONTEXT}" in log
    passages = sum(len(rows) for rows in dataset.parts.values())
    assert f"read in {passages} passages of up to {CONTEXT} tokens each" in log


# Predicting


@pytest.mark.parametrize("prefix", ["", "a", "bad", "abcd", "dabca", "abcdabcdab"])
def test_the_next_token_follows_from_the_last_ones(run: RunDir, prefix: str, tmp_path: Path):
    predictor = nnarch.load(run)
    names = predictor.task.classes
    codes = [0, *map(names.index, prefix)][-CONTEXT:]
    expected = predictor.network(torch.tensor([codes]))[0, -1].softmax(0).detach()
    padded = ([0] * CONTEXT + codes)[-CONTEXT:]
    np.testing.assert_allclose(predictor.predict_proba([padded])[0], expected, rtol=1e-9)
    path = tmp_path / "new.txt"
    path.write_text(f"{prefix}\ncab\n")
    (frame,) = trained.predict(run, path)
    assert frame["text"] == [prefix, "cab"]
    assert frame["next"][0] == names[int(expected.argmax())]
    assert frame["probability"][0] == pytest.approx(float(expected.max()))


def test_many_prefixes_are_answered_in_their_order(run: RunDir, monkeypatch: pytest.MonkeyPatch):
    chance = torch.Generator().manual_seed(0)
    predictor = nnarch.load(run)
    given = torch.randint(1, 6, (50, CONTEXT), generator=chance)
    given[torch.arange(CONTEXT) < torch.randint(0, 6, (50, 1), generator=chance)] = 0
    whole = predictor.predict_proba(given)
    monkeypatch.setattr(evaluation, "CHUNK", 17)
    np.testing.assert_allclose(predictor.predict_proba(given), whole, rtol=1e-9)
    singly = np.concatenate([predictor.predict_proba(one.unsqueeze(0)) for one in given])
    np.testing.assert_allclose(singly, whole, rtol=1e-9)


# What is refused


def refused(given: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        experiment.prepare(configs.load(given))
    (line,) = caught.value.lines
    return line


def test_other_data_than_running_text_is_refused(tmp_path: Path):
    said = refused({"data": "synthetic", "model": "every_token"})
    assert "model: every_token predicts every token of a text; this data holds rows" in said


def test_a_network_that_sees_what_comes_is_refused(tmp_path: Path):
    given = config(written(tmp_path), model={"name": "every_token", "both": True})
    assert "its answers change with tokens that come later" in refused(given)


def test_classes_of_tokens_are_not_balanced(tmp_path: Path):
    said = refused(config(written(tmp_path), sampling="balanced"))
    assert "sampling: got 'balanced' for passages of text" in said


# The report of data


def test_the_report_is_that_of_any_network_for_this_text(tmp_path: Path):
    given = config(written(tmp_path))
    at_once, one_by_one = (
        datareport.report(configs.load(given | {"model": model}))
        for model in ("every_token", "mlp")
    )
    assert at_once["notes"][:-1] == one_by_one["notes"]
    assert {**at_once, "notes": []} == {**one_by_one, "notes": []}
    assert [one["name"] for one in at_once["baselines"]] == ["majority token", "previous token"]
