"""A table's rows as a network sees them: scikit-learn's numbers, and nothing of other rows."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nnarch.data.preprocessing import statistics
from nnarch.data.preprocessing.features import choose
from nnarch.data.preprocessing.statistics import describe, gather, sample_rows
from nnarch.data.preprocessing.tableinputs import TableInputs
from nnarch.data.table import Column, Table
from nnarch.errors import DataError

NAN = float("nan")
OPTIONS: dict[str, Any] = {"missing": "median", "scaling": "standard", "categories": "one_hot"}
SCALINGS = ("standard", "robust", "quantile", "minmax", "none")
TEXTS = ("good film", "A bad, bad film", "the film", "good good acting", "")
COLUMNS = (
    Column("x"),
    Column("y"),
    Column("b", "boolean"),
    Column("when", "datetime"),
    Column("sex", "categorical", ("male", "female", "other")),
    Column("port", "categorical", ("S", "C", "Q", "rare")),
    Column("review", "text", TEXTS),
)


def table(rows: int = 300, seed: int = 0, gaps: float = 0.1) -> Table:
    """Every kind of column, with gaps in all but `y` and `sex`."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(rows, 7, generator=generator, dtype=torch.float64)
    made[:, 0] = made[:, 0] * 30 + 1000
    made[:, 2] = (made[:, 2] > 0.5).double()
    made[:, 3] = 1.7e9 + (made[:, 3] * 1e7).round()
    for place, kinds in ((4, 2), (5, 3), (6, 5)):
        made[:, place] = torch.randint(0, kinds, (rows,), generator=generator)
    made[0, 5] = 3  # once
    holes = torch.rand(rows, 7, generator=generator) < gaps
    holes[:, [1, 4]] = False
    made[holes] = NAN
    return Table(made, COLUMNS, None, ("target",))


def fitted(data: Table, **options: Any) -> TableInputs:
    options = {**OPTIONS, **options}
    known = describe(data.inputs, data.columns)
    return TableInputs.fit(choose(data.columns, known, options)[0], known, options)


def made(inputs: TableInputs, data: Table) -> torch.Tensor:
    return inputs(inputs.raw(data))


def by_name(inputs: TableInputs, data: Table) -> dict[str, np.ndarray]:
    rows = made(inputs, data)
    assert rows.shape == (len(data), *inputs.shape)
    assert len(set(inputs.output_names)) == len(inputs.output_names) == inputs.shape[0]
    return {name: rows[:, i].numpy() for i, name in enumerate(inputs.output_names)}


def of(cells: Mapping[str, list[Any]], *kinds: Column) -> Table:
    """A small table: columns of `kinds`, numbers where there is none."""
    known = {column.name: column for column in kinds}
    columns = tuple(known.get(name, Column(name)) for name in cells)
    rows = torch.tensor(list(cells.values()), dtype=torch.float64).t()
    return Table(rows, columns, None, ("target",))


def test_what_each_number_is():
    inputs = fitted(table())
    assert inputs.names == ("x", "y", "b", "when", "sex", "port", "review")
    assert inputs.output_names == [
        "x", "y", "x missing",
        "b", "b missing",
        "when", "when: time of day sin", "when: time of day cos", "when: day of week sin",
        "when: day of week cos", "when: day of year sin", "when: day of year cos", "when missing",
        "review: a", "review: acting", "review: bad", "review: film", "review: good", "review: the",
        "sex=female", "sex=male", "port=C", "port=Q", "port=S", "port other", "port missing",
    ]  # fmt: skip
    assert (inputs.kind, inputs.vocabulary, inputs.cardinalities) == ("table", 0, ())


@pytest.mark.parametrize("missing", ["median", "mean", "zero"])
def test_numbers_are_scikit_learns(missing: str):
    train, other = table(), table(200, 1)
    strategy = {"zero": "constant"}.get(missing, missing)
    imputer = SimpleImputer(strategy=strategy, fill_value=0.0).fit(train.inputs[:, :3])
    scaler = StandardScaler().fit(train.inputs[:, :3])
    expected = np.asarray(scaler.transform(imputer.transform(other.inputs[:, :3])))
    found = by_name(fitted(train, missing=missing), other)
    for i, name in enumerate(["x", "y", "b"]):
        np.testing.assert_allclose(found[name], expected[:, i], rtol=1e-9, atol=1e-12)
    for i, name in ((0, "x"), (2, "b"), (3, "when")):
        assert found[f"{name} missing"].tolist() == other.inputs[:, i].isnan().tolist()


def test_categories_are_scikit_learns():
    train, other = table(), table(200, 1)
    codes = other.inputs[:, 4:6]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder.fit(train.inputs[1:, 4:6])  # a column a code, and one for NaN
    expected = encoder.transform(codes)
    found = by_name(fitted(train), other)
    names = ["sex=male", "sex=female", "port=S", "port=C", "port=Q", "port missing"]
    for i, name in enumerate(names):
        assert found[name].tolist() == expected[:, i].tolist(), name
    assert found["port other"].tolist() == (codes[:, 1] == 3).tolist()


def test_texts_are_scikit_learns():
    train, other = table(300, 0, gaps=0.0), table(200, 1, gaps=0.0)
    texts = [[TEXTS[int(code)] for code in data.inputs[:, 6]] for data in (train, other)]
    vectorizer = TfidfVectorizer(token_pattern=r"\w+", min_df=2).fit(texts[0])
    expected = vectorizer.transform(texts[1]).toarray()
    found = by_name(fitted(train), other)
    for word, i in vectorizer.vocabulary_.items():
        np.testing.assert_allclose(found[f"review: {word}"], expected[:, i], atol=1e-12)
    assert sum(name.startswith("review: ") for name in found) == len(vectorizer.vocabulary_)


def test_the_2000_commonest_words_are_kept():
    texts = tuple(f"w{i} w{i} w{i + 1}" for i in range(3000))
    data = of({"t": [float(i) for i in range(3000)]}, Column("t", "text", texts))
    inputs = fitted(data)
    assert inputs.shape == (2000,)
    assert inputs.raw(data).shape == (3000, 2000)


def test_a_text_is_read_again_wherever_its_words_stand():
    """A block of rows knows the words of the whole table."""
    data = table()
    inputs = fitted(data)
    whole = inputs.raw(data)
    blocks = [replace(data, inputs=rows) for rows in data.inputs.split(2)]
    assert torch.equal(torch.cat([inputs.raw(block) for block in blocks]).isnan(), whole.isnan())
    parts = torch.cat([made(inputs, block) for block in blocks])
    torch.testing.assert_close(parts, inputs(whole), rtol=0, atol=1e-15)


def test_times():
    hour = 3600.0
    times = [1704067200 + hour * i for i in range(0, 24 * 365, 5)]  # from Monday, 2024-01-01
    data = of({"t": times}, Column("t", "datetime"))
    asked = of({"t": [1704067200 + 6 * hour, 1704067200 + 42 * hour]}, Column("t", "datetime"))
    found = by_name(fitted(data), asked)
    mean, deviation = np.mean(times), np.std(times)
    np.testing.assert_allclose(
        found["t"], (asked.inputs[:, 0].numpy() - mean) / deviation, atol=1e-9
    )
    np.testing.assert_allclose(found["t: time of day sin"], [1, -1], atol=1e-9)
    np.testing.assert_allclose(found["t: time of day cos"], [0, 0], atol=1e-9)
    angle = 2 * np.pi * (np.array([19723, 19724]) % 7) / 7  # days since Thursday, 1970-01-01
    np.testing.assert_allclose(found["t: day of week sin"], np.sin(angle), atol=1e-9)
    angle = 2 * np.pi * np.array([19723, 19724]) / 365.2425
    np.testing.assert_allclose(found["t: day of year cos"], np.cos(angle), atol=1e-9)


def test_an_empty_time_is_not_1970():
    data = of({"t": [1.7e9, 1.7e9 + 1e6, 1.7e9 + 3e6, NAN]}, Column("t", "datetime"))
    found = by_name(fitted(data, missing="zero"), data)
    assert found["t"][3] == found["t"][1]
    assert found["t missing"].tolist() == [0, 0, 0, 1]


def test_embedded_categories_are_codes():
    inputs = fitted(table(), categories="embedding")
    assert inputs.cardinalities == (4, 5)
    assert inputs.output_names[-2:] == ["sex", "port"]
    columns = (*COLUMNS[:4], Column("sex", "categorical", ("new", "female", "male")), *COLUMNS[5:])
    data = replace(table(4), columns=columns)
    data.inputs[:, 4] = torch.tensor([0, 1, 2, NAN])
    data.inputs[:, 5] = torch.tensor([NAN, 3, 1, 0])
    assert made(inputs, data)[:, -2:].tolist() == [[2, 4], [0, 3], [1, 0], [3, 2]]


def test_words_and_gaps_that_training_had_none_of():
    train = of(
        {"c": [0.0, 1.0] * 60, "x": list(range(120))}, Column("c", "categorical", ("u", "v"))
    )
    inputs = fitted(train, columns=["c", "x"])
    assert inputs.output_names == ["x", "c=u", "c=v"]
    asked = of({"c": [0, 1, NAN], "x": [NAN] * 3}, Column("c", "categorical", ("new", "v")))
    assert made(inputs, asked).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("categories", ["one_hot", "embedding"])
def test_spec_and_state_say_all(scaling: str, categories: str):
    inputs, other = fitted(table(), scaling=scaling, categories=categories), table(100, 1)
    again = TableInputs(json.loads(json.dumps(inputs.spec)))
    again.load_state_dict(load(save(inputs.state_dict())))
    assert again.spec == inputs.spec
    assert (again.names, again.shape) == (inputs.names, inputs.shape)
    assert again.output_names == inputs.output_names
    assert torch.equal(made(again, other), made(inputs, other))


@pytest.mark.parametrize("scaling", SCALINGS)
def test_nothing_that_a_network_sees_is_infinite_or_empty(scaling: str):
    inputs = fitted(table(), scaling=scaling)
    values = [0, 1, -1, 3e38, -3e38, 1e300, -1.7e308, NAN]
    far = torch.tensor(values, dtype=torch.float64).unsqueeze(1)
    asked = table(8)
    asked.inputs[:, [0, 1, 3]] = far
    rows = made(inputs, asked)
    assert rows.float().isfinite().all()
    empty = replace(asked, inputs=torch.full_like(asked.inputs, NAN))
    assert made(inputs, empty).isfinite().all()
    assert made(inputs, replace(asked, inputs=asked.inputs[:0])).shape == (0, *inputs.shape)


def test_a_column_that_never_was_filled_keeps_its_kind():
    data = table()
    inputs = fitted(data)
    numbers = tuple(Column(column.name) for column in COLUMNS)  # as an empty column is read
    empty = torch.full_like(data.inputs, NAN)
    expected = made(inputs, replace(data, inputs=empty))
    assert torch.equal(made(inputs, Table(empty, numbers, None, ("target",))), expected)


@given(st.permutations(range(7)))
def test_the_order_of_columns_makes_no_difference(order: list[int]):
    data, inputs = table(20, 1), fitted(table())
    columns = (*(COLUMNS[i] for i in order), Column("more"))
    rows = torch.cat([data.inputs[:, order], torch.ones(20, 1, dtype=torch.float64)], 1)
    assert torch.equal(made(inputs, Table(rows, columns, None, ())), made(inputs, data))


def test_the_order_of_words_makes_no_difference():
    data, inputs = table(50, 1), fitted(table())
    port = Column("port", "categorical", ("rare", "Q", "unheard of", "C", "S"))
    rows = data.inputs.clone()
    rows[:, 5] = torch.tensor([4.0, 3.0, 1.0, 0.0, NAN]).double()[rows[:, 5].nan_to_num(4).long()]
    moved = Table(rows, (*COLUMNS[:5], port, COLUMNS[6]), None, ())
    assert torch.equal(made(inputs, moved), made(inputs, data))


@given(st.lists(st.integers(0, 299), max_size=20), st.integers(0, 3))
def test_a_row_does_not_depend_on_the_others(chosen: list[int], scaling: int):
    data, inputs = table(), fitted(table(), scaling=SCALINGS[scaling])
    whole = made(inputs, data)[chosen]
    alone = made(inputs, replace(data, inputs=data.inputs[chosen]))
    torch.testing.assert_close(alone, whole, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_other_rows_leave_no_trace(scaling: str):
    """What is fitted on training rows is the same whatever the rest of the table holds."""
    train = table()
    words = tuple(
        replace(column, words=("only in test", *column.words)) if column.words else column
        for column in COLUMNS
    )
    rows = train.inputs.clone()
    rows[:, 4:] += 1
    one = fitted(train, scaling=scaling)
    other = fitted(Table(rows, words, None, ()), scaling=scaling)
    assert one.spec == other.spec
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_blocks_of_a_file_give_the_same_as_the_whole():
    data = table(3000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK", 7 * 128)
        sample = sample_rows(3000, 0)
        ways = [
            gather(blocks, COLUMNS, sample) for blocks in ([data.inputs], data.inputs.split(77))
        ]
    one, other = (TableInputs.fit(choose(COLUMNS, way, {})[0], way, OPTIONS) for way in ways)
    assert one.spec == other.spec
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_columns_that_are_missing():
    data = table(5)
    lacking = Table(data.inputs[:, 4:], (Column("SEX"), *COLUMNS[5:]), None, ())
    with pytest.raises(DataError) as error:
        fitted(table()).raw(lacking)
    assert str(error.value) == (
        "data: no column 'x', 'y', 'b', 'when', 'sex'; known: SEX, port, review"
    )


def test_gaps_can_be_refused():
    full, holes = table(gaps=0.0), table()
    with pytest.raises(DataError) as error:
        fitted(holes, missing="error")
    counts = holes.inputs.isnan().sum(0).tolist()
    said = f"'x' in {counts[0]}, 'b' in {counts[2]}, 'when' in {counts[3]}"
    assert str(error.value) == (
        f"data: empty cells in 300 training rows: column {said}; expected none, or data.missing: "
        "median, mean or zero"
    )
    inputs = fitted(full, missing="error")
    assert made(inputs, full).isfinite().all()
    with pytest.raises(DataError, match="empty cells in 300 rows: column 'x' in "):
        inputs.raw(holes)
    again = TableInputs(inputs.spec)
    with pytest.raises(DataError, match="empty cells in 300 rows: column 'x' in "):
        again.raw(holes)


TOLD = {  # a column as training saw it and as another file may show it
    "words that read as numbers": (
        (Column("a", "categorical", ("1", "2", "x")), [0, 1, 2]),
        (Column("a"), [1, 2, 7]),
        [[1, 0, 0], [0, 1, 0], [0, 0, 0]],
    ),
    "words written as other numbers": (
        (Column("a", "categorical", ("01", "2.50")), [0, 1, 0]),
        (Column("a"), [1, 2.5, 3]),
        [[1, 0], [0, 1], [0, 0]],
    ),
    "yes and no that read as truth": (
        (Column("a", "categorical", ("Yes", "No", "?")), [0, 1, 2]),
        (Column("a", "boolean"), [1, 0, NAN]),
        [[0, 0, 1], [0, 1, 0], [0, 0, 0]],
    ),
    "numbers that read as truth": (
        (Column("a"), [0, 2, 1]),
        (Column("a", "boolean"), [1, 0, NAN]),
        [[0], [-(1.5**0.5)], [0]],
    ),
    "numbers that read as words": (
        (Column("a"), [0, 2, 1]),
        (Column("a", "categorical", ("2", "1e0", "0")), [2, 1, 0]),
        [[-(1.5**0.5)], [0], [1.5**0.5]],
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_column_that_reads_as_another_kind(case: str):
    (trained, cells), (shown, others), expected = TOLD[case]
    inputs = fitted(of({"a": cells}, trained))
    found = made(inputs, of({"a": others}, shown))
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("trained", "shown", "said"),
    [
        (Column("a"), Column("a", "categorical", ("1", "n/k")), "holds 'n/k'; expected a number"),
        (Column("a", "datetime"), Column("a"), "holds numbers; expected a date such as"),
        (Column("a", "boolean"), Column("a", "categorical", ("yes", "perhaps")), "holds 'perhaps'"),
        (Column("a"), Column("a", fault="new.csv: mixed"), "new.csv: mixed"),
    ],
)
def test_a_column_that_is_another_kind(trained: Column, shown: Column, said: str):
    inputs = fitted(of({"a": [0, 1, 1]}, trained))
    with pytest.raises(DataError) as error:
        inputs.raw(of({"a": [0, 1, 1]}, shown))
    assert said in str(error.value)


@pytest.mark.parametrize("kind", ["numeric", "datetime"])
def test_types_that_a_config_gives_are_fitted_as_such(kind: str):
    words = ("10", "30", "20") if kind == "numeric" else ("2024-01-01", "2024-01-21", "2024-01-11")
    data = of({"a": [0, 1, 2, NAN] * 10}, Column("a", "categorical", words))
    found = by_name(fitted(data, types={"a": kind}), data)
    np.testing.assert_allclose(found["a"][:4], [-(1.5**0.5), 1.5**0.5, 0, 0], atol=1e-9)
    assert found["a missing"][:4].tolist() == [0, 0, 0, 1]


NONSENSE = {
    "nothing": {},
    "another kind": {"kind": "array"},
    "features that are none": {"features": 3},
    "a kind of column that there is not": {"features": [{"name": "a", "kind": "colour"}]},
    "two of one name": {"features": [{"name": "a", "kind": "numeric"}] * 2},
    "a cycle that there is not": {
        "features": [{"name": "a", "kind": "datetime", "cycles": ["day of life"]}]
    },
    "more quantiles than memory": {"quantiles": 10**15},
    "a scaling that there is not": {"scaling": "biggest"},
    "something more": {"more": 1},
}


@pytest.mark.parametrize("case", NONSENSE)
def test_a_spec_that_is_none(case: str):
    good = fitted(table()).spec
    with pytest.raises(ValueError):  # noqa: PT011 (pydantic's words)
        TableInputs({**good, **NONSENSE[case]} if NONSENSE[case] else {})
