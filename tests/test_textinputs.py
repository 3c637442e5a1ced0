"""Texts as tokens: values by hand, training texts alone, and a run from end to end."""

import csv
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import nnarch
from nnarch import config as configs
from nnarch import trained
from nnarch.check import datareport
from nnarch.data import dataset as datasets
from nnarch.data.array import Array
from nnarch.data.batches import Matrix
from nnarch.data.dataset import Dataset
from nnarch.data.inputs import Inputs
from nnarch.data.preprocessing import textinputs as module
from nnarch.data.preprocessing.preprocess import Preprocess
from nnarch.data.preprocessing.target import Target
from nnarch.data.preprocessing.textinputs import TextInputs, vocabulary
from nnarch.data.spool import spooled
from nnarch.data.table import Column, Table
from nnarch.errors import ConfigError, DataError
from nnarch.rundir import RunDir
from nnarch.validate import fill_component

PARTS = ("train", "val", "test")


def options(**given: Any) -> dict[str, Any]:
    spec, faults = fill_component("data", {"source": "synthetic", "text": "tokens", **given}, ())
    assert not faults
    return spec


def table(texts: list[str | None], parts: list[int], name: str = "review") -> Table:
    """Rows of texts with a class each, and the part that each is for."""
    words = tuple(dict.fromkeys(text for text in texts if text is not None))
    codes = [torch.nan if text is None else words.index(text) for text in texts]
    inputs = torch.tensor(codes, dtype=torch.float64).unsqueeze(1)
    target = ["yes" if row % 2 else "no" for row in range(len(texts))]
    column = Column(name, "text", words)
    return Table(inputs, (column,), target, ("label",), parts=torch.tensor(parts))


TRAIN = ["The cat sat", "the CAT, the dog!", "a dog sat; a mouse ran", None]
VAL = ["the zebra sat", "A cat"]
TEST = ["zebra zebra zebra", "the mouse"]
REVIEWS = table([*TRAIN, *VAL, *TEST], [0] * 4 + [1] * 2 + [2] * 2)


def rows(made: Dataset, part: str) -> Tensor:
    found = made.parts[part]
    assert isinstance(found, Matrix)
    return found.inputs


def test_tokens_by_hand():
    made = datasets.make(REVIEWS, options(text_length=4), None)
    # the 3, a 2, cat 2, dog 2, sat 2; mouse and ran once
    the, a, cat, dog, sat = range(2, 7)
    assert rows(made, "train").tolist() == [
        [the, cat, sat, 0],
        [the, cat, the, dog],
        [a, dog, sat, a],
        [0, 0, 0, 0],
    ]
    assert rows(made, "val").tolist() == [[the, 1, sat, 0], [a, cat, 0, 0]]
    assert rows(made, "test").tolist() == [[1, 1, 1, 0], [the, 1, 0, 0]]
    assert made.inputs == Inputs((4,), vocabulary=7)
    assert made.input_names == ("review",)
    assert made.notes[-1] == (
        "review: text, read as its first 4 words, which is all of 66.7% of the training texts; 5 "
        "words are known"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tokens_stay_whole_whatever_the_network_computes_in(dtype: torch.dtype):
    made = datasets.make(REVIEWS, options(), None, dtype)
    found = made.parts["train"].to(torch.device("cpu"), dtype)
    (batch,) = found.in_order(10)
    assert (batch.inputs.dtype, tuple(batch.inputs.shape)) == (torch.int64, (4, 64))


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "C", "c", "dd", "e!"]), max_size=6), min_size=1),
    st.integers(1, 5),
)
def test_the_commonest_words_that_stand_twice_are_known(texts: list[list[str]], most: int):
    joined = list(dict.fromkeys(" ".join(text) for text in texts))
    counts = torch.tensor([sum(" ".join(one) == text for one in texts) for text in joined])
    total = Counter(word.lower().strip("!") for text in texts for word in text)
    expected = sorted((w for w in total if total[w] > 1), key=lambda word: (-total[word], word))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_WORDS", most)
        assert vocabulary(joined, counts) == tuple(expected[:most])


def test_texts_held_out_change_nothing_that_is_learnt_from():
    wild = table(
        [*TRAIN, "zebra zebra mouse ran", "ran"] + ["mouse ran"] * 2, [0] * 4 + [1, 1, 2, 2]
    )
    plain, other = (datasets.make(one, options(), None) for one in (REVIEWS, wild))
    assert plain.preprocess.spec == other.preprocess.spec
    assert torch.equal(rows(plain, "train"), rows(other, "train"))
    assert plain.notes == other.notes


def test_another_column_that_says_the_same_is_read_as_text():
    made = datasets.make(REVIEWS, options(), None).preprocess.inputs
    assert isinstance(made, TextInputs)
    words = ("dog", "the the")
    codes = torch.tensor([[1.0, 0], [0, 1], [torch.nan, 2]], dtype=torch.float64)
    other = Table(codes, (Column("review", "categorical", words), Column("n")), None, ())
    assert made.raw(other)[:, :3].tolist() == [[2, 2, 0], [5, 0, 0], [0, 0, 0]]
    with pytest.raises(DataError, match="no column 'review'"):
        made.raw(replace(other, columns=(Column("x"), Column("n"))))
    with pytest.raises(DataError, match="is damaged"):
        made.raw(replace(other, columns=(Column("review", fault="is damaged"), Column("n"))))


def test_a_spec_makes_the_same_again():
    made = datasets.make(REVIEWS, options(text_length=3), None).preprocess
    again = Preprocess.from_spec(made.spec)
    assert isinstance(made.inputs, TextInputs)
    assert isinstance(again.inputs, TextInputs)
    assert again.spec == made.spec
    assert torch.equal(again.inputs.raw(REVIEWS), made.inputs.raw(REVIEWS))
    assert (again.inputs.shape, again.inputs.vocabulary) == ((3,), made.inputs.vocabulary)


@pytest.mark.parametrize(
    "change", [{"length": 0}, {"words": "ab"}, {"words": [1]}, {"more": 1}, {"name": None}], ids=str
)
def test_what_is_no_spec_is_refused(change: dict[str, Any]):
    spec = {"kind": "text", "name": "review", "words": ["a"], "length": 4}
    target = Target(1).spec
    Preprocess.from_spec({"inputs": spec, "target": target})
    with pytest.raises(ValueError, match=next(iter(change))):
        Preprocess.from_spec({"inputs": spec | change, "target": target})


def beside(kind: str) -> Table:
    """The reviews and a column of numbers or words."""
    more = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1.0], dtype=torch.float64).unsqueeze(1)
    columns = (*REVIEWS.columns, Column("other", kind, ("a", "b") if kind != "numeric" else ()))  # pyright: ignore
    return replace(REVIEWS, inputs=torch.cat([REVIEWS.inputs, more], 1), columns=columns)


REFUSED = {
    "two columns": (
        beside("numeric"),
        {},
        "data.text: got 'tokens' for columns review (text), other (numeric); expected one column "
        "of text alone, as data.columns chooses and data.types tells",
    ),
    "no text": (
        beside("categorical"),
        {"columns": ["other"]},
        "data.text: got 'tokens' for columns other (categorical); expected one",
    ),
    "images": (
        Array(torch.zeros(9, 1, 4, 4), ["a", "b", "c"] * 3, ("y",)),
        {},
        "data.text: got 'tokens'; this data has no column of texts",
    ),
    "a length of a bag": (
        REVIEWS,
        {"text": "bag_of_words", "text_length": 10},
        "data.text_length: got 10 for a bag of words",
    ),
}


@pytest.mark.parametrize(("data", "given", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_as_tokens_is_refused(data: Any, given: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as caught:
        datasets.make(data, options(**given), None)
    (line,) = caught.value.lines
    assert line.startswith(said)


def test_a_table_on_disk_is_refused():
    with pytest.raises(ConfigError, match="got 'tokens' for a table that stays on disk; expected"):
        datasets.make(spooled([REVIEWS]), options(), None)


def test_one_column_of_several_is_chosen():
    made = datasets.make(beside("numeric"), options(columns=["review"]), None)
    assert torch.equal(rows(made, "train"), rows(datasets.make(REVIEWS, options(), None), "train"))


# A run from end to end


PLAIN = ["the", "film", "was", "plot", "actors", "scene", "and", "with", "music"]


def reviews(count: int = 120) -> list[dict[str, str]]:
    """Sentences of which one word tells the class."""
    chance = random.Random(0)
    made = []
    for row in range(count):
        words = chance.choices(PLAIN, k=chance.randint(4, 8))
        words[0] = "Good" if row % 2 else "bad"
        made.append({"review": " ".join(words) + f" n{row}", "label": "pos" if row % 2 else "neg"})
    return made


def write(home: Path, source: str) -> dict[str, Any]:
    """A file of reviews for a source, and the `data` of a config."""
    path = home / ("data.parquet" if source == "parquet" else "data.csv")
    if source == "parquet":
        pl.DataFrame(reviews()).write_parquet(path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["review", "label"])
            writer.writeheader()
            writer.writerows(reviews())
    return {"source": source, "path": str(path), "target": "label", "text": "tokens",
            "text_length": 6}  # fmt: skip


@pytest.fixture(scope="module", params=["csv", "parquet", "text"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    home = tmp_path_factory.mktemp(request.param)
    given = {
        "data": write(home, request.param),
        "model": {"widths": [16]},
        "optimizer": {"lr": 0.01},
        "epochs": 8,
        "threads": 1,
    }
    return nnarch.train(given, runs_dir=home / "runs")


def test_a_run_learns_and_is_measured_as_it_was(run: RunDir):
    results = run.about["results"]
    assert results["test"]["accuracy"] == 1
    assert nnarch.evaluate(run) == results["test"]
    path = configs.load(run.config).data["path"]
    assert nnarch.evaluate(run, data=path)["accuracy"] == 1


def test_a_run_predicts_from_a_file_a_mapping_and_a_frame(run: RunDir, tmp_path: Path):
    texts = ["GOOD film, wholly unheard of", "bad plot", "", "good"]
    predictor = nnarch.load(run)
    made = predictor.preprocess.inputs
    assert isinstance(made, TextInputs)
    code = {word: place for place, word in enumerate(made.words, 2)}
    coded = [
        [code["good"], code["film"], 1, 1, 1, 0],
        [code["bad"], code["plot"], 0, 0, 0, 0],
        [0] * 6,
        [code["good"], 0, 0, 0, 0, 0],
    ]
    loss = predictor.loss.predict(predictor.network(torch.tensor(coded))).detach()
    chances = predictor.predict_proba({"review": texts})
    np.testing.assert_allclose(chances, loss, rtol=1e-6)
    frame = pl.DataFrame({"more": range(4), "review": texts})
    np.testing.assert_array_equal(predictor.predict_proba(frame), chances)
    expected = [predictor.task.classes[place] for place in chances.argmax(1)]
    assert predictor.predict({"review": texts}).tolist() == expected
    frame.write_csv(path := tmp_path / "new.csv")
    (answers,) = trained.predict(run, path, keep=["more"])
    assert answers["label"] == expected
    assert list(answers["more"]) == [0, 1, 2, 3]
    np.testing.assert_allclose(answers["p_pos"], chances[:, 1], rtol=1e-6)


def test_the_report_says_what_becomes_of_the_text(run: RunDir):
    report = datareport.report(configs.load(run.config))
    words = 2 + len(PLAIN)
    assert report["samples"] == {
        "kind": "table", "shape": [6], "features": 1, "vocabulary": words + 2
    }  # fmt: skip
    (column,) = report["columns"]
    assert column["becomes"] == f"text -> first 6 of {words} words"
    figures = {one["name"]: one["figures"]["accuracy"] for one in report["baselines"]}
    assert figures == {"majority class": 0.5, "linear model": 1.0}  # of how often words occur
    assert "1 column -> 6 tokens a row" in datareport.as_text(report)


def test_codes_are_not_augmented(run: RunDir):
    with pytest.raises(ConfigError, match=r"augment\[0\]: got inputs that hold codes"):
        nnarch.build(run.config, "augment=[mixup]")
