"""Which columns are learnt from: seen from training rows, said in words, overruled by a config."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnarch.data.preprocessing.features import Feature, choose
from nnarch.data.preprocessing.statistics import describe
from nnarch.data.table import Column, ColumnKind
from nnarch.errors import ConfigError, DataError

NAN = float("nan")


def of_words(name: str, cells: Sequence[str], kind: ColumnKind = "categorical"):
    """A column and its codes; "" for an empty cell."""
    words = tuple(dict.fromkeys(filter(None, cells)))
    return Column(name, kind, words), [float(words.index(cell)) if cell else NAN for cell in cells]


def of_numbers(name: str, cells: Sequence[float], kind: ColumnKind = "numeric"):
    return Column(name, kind), [float(cell) for cell in cells]


def chosen(*parts: Any, excluded: Sequence[str] = (), **options: Any):
    """The features by name, and the notes."""
    columns = tuple(column for column, _ in parts)
    rows = torch.tensor([cells for _, cells in parts], dtype=torch.float64).t()
    features, notes = choose(columns, describe(rows, columns), options, excluded)
    return {feature.name: feature for feature in features}, notes


MEASURED = of_numbers("x", [(i * 37 % 101) / 10 for i in range(200)])


def test_a_column_of_each_kind():
    found, notes = chosen(
        MEASURED,
        of_numbers("b", [i % 2 for i in range(200)], "boolean"),
        of_numbers("t", [3600.0 * i for i in range(200)], "datetime"),
        of_words("c", ["v", "u", "", "u"] * 50),
        of_words("r", ["good film", "bad film", "a film"] * 66 + ["x", "y"], "text"),
    )
    assert list(found.values()) == [
        Feature("x", "numeric"),
        Feature("b", "boolean"),
        Feature("t", "datetime", cycles=("time of day", "day of week", "day of year")),
        Feature("c", "categorical", ("u", "v"), gaps=True),
        Feature("r", "text", ("a", "bad", "film", "good")),
    ]
    assert notes == []


USELESS = {
    "constant": of_numbers("a", [3] * 200),
    "constant word": of_words("a", ["yes"] * 200),
    "constant truth": of_numbers("a", [1] * 200, "boolean"),
    "empty": of_numbers("a", [NAN] * 200),
    "empty words": (Column("a", "categorical"), [NAN] * 200),
    "rows counted": of_numbers("a", range(1, 201)),
    "rows counted, every other": of_numbers("a", range(1000, 1400, 2)),
    "rows counted, in disorder": of_numbers("a", [i * 37 % 211 for i in range(200)]),
    "numbers of customers": of_numbers("CustomerId", [i * 1_000_003 for i in range(200)]),
    "words that are keys": of_words("order_no", [f"A-{i:05}" for i in range(200)]),
    "words that all differ": of_words("a", [f"{i:05}x" for i in range(200)]),
    "words that mostly differ": of_words("a", [f"w{i % 120}" for i in range(200)]),
    "surnames": of_words("a", [f"name{i % 60}" for i in range(200)]),
}


@pytest.mark.parametrize("case", USELESS)
def test_what_is_of_no_use_is_left_out_and_said(case: str):
    name = USELESS[case][0].name
    found, notes = chosen(MEASURED, USELESS[case])
    reasons = {
        "constant": ("constant", "constant word", "constant truth"),
        "empty": ("empty", "empty words"),
        "60 different words in 200 rows": ("surnames",),
    }
    reason = next((said for said, cases in reasons.items() if case in cases), "identifiers")
    assert list(found) == ["x"]
    assert notes == [f"ignored: {name} ({reason})"]


@pytest.mark.parametrize("case", [case for case in USELESS if "empty" not in case])
@pytest.mark.parametrize("way", ["columns", "types"])
def test_the_config_has_the_last_word(case: str, way: str):
    column, _ = USELESS[case]
    options: dict[str, Any] = {"types": {column.name: column.kind}}
    if way == "columns":
        options = {"columns": ["x", column.name]}
    found, notes = chosen(MEASURED, USELESS[case], **options)
    assert found[column.name].kind == column.kind
    assert notes == []


USEFUL = {
    "a constant with gaps": of_numbers("a", [3, NAN] * 100),
    "one word or none": of_words("a", ["yes", ""] * 100),
    "years, each several times": of_numbers("a", [2000 + i % 24 for i in range(200)]),
    "whole numbers far apart": of_numbers("a", [i * 17 for i in range(200)]),
    "few rows counted": of_numbers("a", range(40)),
    "an id that comes again": of_numbers("user_id", [i // 2 for i in range(200)]),
    "paid": of_numbers("paid", [i * 1003 for i in range(200)]),
    "Solid": of_numbers("Solid", [i * 1003 for i in range(200)]),
    "humidity": of_numbers("humidity", [i * 1003 for i in range(200)]),
    "numbers of a name that tells, with fractions": of_numbers("id", [i * 1.5 for i in range(200)]),
    "words of 50 kinds": of_words("a", [f"w{i % 50}" for i in range(200)]),
    "few rows of words": of_words("a", [f"w{i}" for i in range(10)]),
    "times that all differ": of_numbers("a", [60.0 * i for i in range(200)], "datetime"),
}


@pytest.mark.parametrize("case", USEFUL)
def test_what_is_of_use_stays(case: str):
    column, cells = USEFUL[case]
    measured = (Column("x"), MEASURED[1][: len(cells)])
    found, notes = chosen(measured, (column, cells))
    assert list(found) == ["x", column.name]
    assert found[column.name].kind == column.kind
    assert notes == []


def test_reasons_are_grouped():
    _, notes = chosen(
        of_numbers("RowNumber", range(200)),
        MEASURED,
        of_words("Surname", [f"name{i % 60}" for i in range(200)]),
        of_numbers("Over18", [1] * 200),
        of_numbers("CustomerId", [i * 1_000_003 for i in range(200)]),
    )
    assert notes == [
        "ignored: RowNumber, CustomerId (identifiers); "
        "Surname (60 different words in 200 rows); Over18 (constant)"
    ]


def test_words_that_mostly_differ_and_are_sentences_are_text():
    cells = [f"word{i} is in here" for i in range(200)]
    found, notes = chosen(MEASURED, of_words("review", cells))
    assert found["review"] == Feature("review", "text", ("here", "in", "is"))
    assert notes == ["review: free text, read as how often each of 3 words occurs"]
    found, notes = chosen(MEASURED, of_words("review", cells), types={"review": "categorical"})
    assert (found["review"].kind, found["review"].words, notes) == ("categorical", (), [])


def test_a_text_without_a_word_in_two_rows():
    text = of_words("t", [f"a{i} b{i} c{i}" for i in range(200)], "text")
    found, notes = chosen(MEASURED, text)
    assert list(found) == ["x"]
    assert notes == ["ignored: t (no word stands in two rows)"]
    with pytest.raises(DataError, match="column 't' cannot be learnt from: no word stands in two"):
        chosen(MEASURED, text, columns=["x", "t"])


@pytest.mark.parametrize("words", [["b", "a", "c"], ["10", "9", "01"]], ids=["words", "numbers"])
def test_the_order_of_categories_is_not_that_of_rows(words: list[str]):
    one, _ = chosen(of_words("c", words * 50))
    other, _ = chosen(of_words("c", words[::-1] * 50))
    assert one == other
    assert one["c"].words == (("a", "b", "c") if "a" in words else ("01", "9", "10"))


def test_rare_words_share_a_code():
    cells = ["u", "v"] * 60 + ["once"]
    assert chosen(of_words("c", cells))[0]["c"] == Feature(
        "c", "categorical", ("u", "v"), rare=True
    )
    few = ["u", "v"] * 40 + ["once"]  # in fewer than 100 rows once is often
    assert chosen(of_words("c", few))[0]["c"].words == ("once", "u", "v")


def test_the_255_commonest_have_codes():
    cells = [f"w{i:03}" for i in range(300) for _ in range(12 if i < 250 else 10 + i % 2)]
    feature = chosen(of_words("c", cells))[0]["c"]
    assert feature.rare
    assert len(feature.words) == 255
    assert feature.words[:250] == tuple(f"w{i:03}" for i in range(250))
    assert feature.words[250:] == ("w251", "w253", "w255", "w257", "w259")


def test_a_word_of_other_rows_is_unknown():
    """The words of a column are those of the whole table; training rows hold some."""
    column = Column("c", "categorical", ("test only", "u", "v"))
    found, _ = chosen((column, [1.0, 2.0] * 20))
    assert found["c"].words == ("u", "v")


def test_columns_and_ignore_and_excluded():
    a, b, c = (of_numbers(name, MEASURED[1]) for name in "abc")
    assert list(chosen(a, b, c, columns=["c", "a"])[0]) == ["a", "c"]
    assert list(chosen(a, b, c, ignore=["b"])[0]) == ["a", "c"]
    assert list(chosen(a, b, c, types={"b": "ignore"})[0]) == ["a", "c"]
    found, notes = chosen(a, b, c, excluded=["b"])
    assert (list(found), notes) == (["a", "c"], [])
    assert list(chosen(a, b, c, excluded=["b"], columns=["a", "b"])[0]) == ["a", "b"]
    assert list(chosen(a, b, c, excluded=["part"], ignore=["part"])[0]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"columns": ["agee"]}, "data.columns: no column is called 'agee'; did you mean 'age'? "),
        ({"ignore": ["agee"]}, "data.ignore: no column is called 'agee'; did you mean 'age'? "),
        ({"types": {"agee": "text"}}, "data.types: no column is called 'agee'; did you mean 'age'"),
        ({"columns": ["age"], "ignore": ["age"]}, "data.ignore: 'age' is in data.columns too"),
    ],
)
def test_names_that_are_no_columns(options: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as error:
        chosen(of_numbers("age", MEASURED[1]), **options)
    assert str(error.value).startswith(said)


def test_a_name_among_thousands_gets_a_short_answer():
    many = [of_numbers(f"column{i}", [1, 2, 3]) for i in range(2000)]
    with pytest.raises(ConfigError) as error:
        chosen(*many, columns=["column17x"])
    assert "did you mean 'column17'" in str(error.value)
    assert "(2000 columns)" in str(error.value)
    assert len(str(error.value)) < 1000


def test_a_fault_is_said_where_the_column_is_used():
    bad = (Column("a", fault="f.csv: column 'a' holds words and numbers"), MEASURED[1])
    assert list(chosen(MEASURED, bad, ignore=["a"])[0]) == ["x"]
    assert list(chosen(MEASURED, bad, columns=["x"])[0]) == ["x"]
    with pytest.raises(DataError, match=r"^f\.csv: column 'a' holds words and numbers$"):
        chosen(MEASURED, bad)


def test_nothing_left():
    with pytest.raises(DataError) as error:
        chosen(USELESS["constant"], of_numbers("id", range(200)))
    assert str(error.value) == (
        "data: no column is left to learn from (ignored: a (constant); id (identifiers)); "
        "expected one that is of use, or named in data.columns"
    )
    with pytest.raises(DataError, match="no column is left"):
        chosen(MEASURED, ignore=["x"])


def test_an_empty_column_that_is_asked_for():
    with pytest.raises(DataError, match="column 'a' cannot be learnt from: empty"):
        chosen(MEASURED, USELESS["empty"], columns=["x", "a"])


@pytest.mark.parametrize(
    ("part", "kind", "feature"),
    [
        (of_words("a", ["10", "9.5", ""] * 40), "numeric", Feature("a", "numeric", gaps=True)),
        (of_numbers("a", [3, 1, 2] * 40), "categorical",
         Feature("a", "categorical", ("1", "2", "3"))),
        (of_numbers("a", [0.5, 10, NAN] * 40), "categorical",
         Feature("a", "categorical", ("0.5", "10"), gaps=True)),
        (of_numbers("a", [0, 1] * 40, "boolean"), "categorical",
         Feature("a", "categorical", ("false", "true"))),
        (of_numbers("a", [0, 90000] * 40, "datetime"), "categorical",
         Feature("a", "categorical", ("1970-01-01", "1970-01-02 01:00:00"))),
        (of_words("a", ["Yes", "no"] * 40), "boolean", Feature("a", "boolean")),
        (of_numbers("a", [0, 1] * 40), "boolean", Feature("a", "boolean")),
        (of_numbers("a", [0, 1] * 40, "boolean"), "numeric", Feature("a", "numeric")),
        (of_words("a", ["2024-01-01", "2024-07-01"] * 40), "datetime",
         Feature("a", "datetime", cycles=("day of year",))),
        (of_words("a", ["a b", "b c"] * 40), "text", Feature("a", "text", ("a", "b", "c"))),
    ],
)  # fmt: skip
def test_another_type_than_it_looks(part: Any, kind: str, feature: Feature):
    assert chosen(part, types={"a": kind})[0] == {"a": feature}


@pytest.mark.parametrize(
    ("part", "kind", "said"),
    [
        (of_words("a", ["1", "x"]), "numeric", "data: column 'a' holds 'x'; expected a number"),
        (of_words("a", ["1", "inf"]), "numeric", "data: column 'a' holds 'inf'; expected a number"),
        (of_words("a", ["soon", "2024"]), "datetime",
         "data: column 'a' holds 'soon'; expected a date such as 2024-05-31"),
        (of_words("a", ["yes", "maybe"]), "boolean",
         "data: column 'a' holds 'maybe'; expected true or false"),
        (of_numbers("a", [0, 1, 2]), "boolean", "data: column 'a' holds '2'; expected true"),
        (of_numbers("a", [0, 1, 2]), "datetime", "data: column 'a' holds numbers; expected a date"),
        (of_numbers("a", [0, 9e8], "datetime"), "numeric",
         "data: column 'a' holds dates; expected a number"),
    ],
)  # fmt: skip
def test_a_type_that_the_cells_are_not(part: Any, kind: str, said: str):
    with pytest.raises(DataError) as error:
        chosen(part, types={"a": kind})
    assert str(error.value).startswith(said)


TIMES = {
    "hours of years": (range(0, 3 * 365 * 24, 7), ("time of day", "day of week", "day of year")),
    "hours of a day": (range(24), ("time of day",)),
    "days": (range(0, 365 * 24, 24), ("day of week", "day of year")),
    "days at one hour": (range(13, 365 * 24, 24), ("day of week", "day of year")),
    "Mondays": (range(96, 365 * 24, 168), ("day of year",)),
    "years": ([round(i * 365.2425) * 24 for i in range(30)], ("day of week",)),
}


@pytest.mark.parametrize("case", TIMES)
def test_cycles_that_training_times_move_in(case: str):
    hours, cycles = TIMES[case]
    times = of_numbers("t", [3600.0 * hour for hour in hours], "datetime")
    assert chosen(times)[0]["t"].cycles == cycles


@given(st.data())
def test_rows_in_another_order_are_the_same_features(data: st.DataObject):
    cells = data.draw(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), min_size=2, max_size=40))
    numbers = data.draw(st.lists(st.integers(0, 60), min_size=len(cells), max_size=len(cells)))
    order = data.draw(st.permutations(range(len(cells))))
    column, codes = of_words("c", cells)
    try:
        expected = chosen((column, codes), of_numbers("n", numbers))
    except DataError:
        return
    moved = [codes[i] for i in order], [numbers[i] for i in order]
    assert chosen((column, moved[0]), of_numbers("n", moved[1])) == expected
