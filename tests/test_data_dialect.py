"""How text files are written, as found in their first lines."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnarch.data.formats.cells import Decimal
from nnarch.data.formats.dialect import find


def dialect(text: str, decimal: Decimal = ".") -> tuple[str, bool]:
    found = find(list(io.StringIO(text, newline="")), "auto", decimal, "auto")
    return found.separator, found.header


FILES = {
    "commas": ("a,b\n1,2\n", (",", True)),
    "semicolons": ("a;b\n1,5;2\n2,5;3\n", (";", True)),
    "semicolons, no header": ("1,5;2,5\n2,5;3,5\n", (";", False)),
    "tabs": ("a\tb c\n1\t2 3\n", ("\t", True)),
    "bars": ("a|b, c\n1|2\n", ("|", True)),
    "spaces": ("a  b   c\n1 2     3\n 4   5 6 \n", (" ", True)),
    "aligned numbers": (" 0.1  2  3\n-4.5 26 30\n", (" ", False)),
    "other separators within quotes": ('"a;x","b;y"\n"1;2","3;4"\n"1","2;3;4"\n', (",", True)),
    "commas in dates": ("date,b\n2020-01-01 10:00,2\n2020-01-01 11:00,3\n", (",", True)),
    "one column": ("a\n1\n2\n", (",", True)),
    "one column of sentences": ("text\nHello there\nfine, thanks, you?\n", (",", True)),
    "a ragged row": ("a,b,c\n1,2,3\n4,5\n6,7,8\n", (",", True)),
    "a ragged row of semicolons": ("a;b;c\n1;2;3\n4;5\n6;7;8\n", (";", True)),
    "numbers alone": ("1,2\n3,4\n", (",", False)),
    "a word in each row": ("M,0.5\nF,0.4\n", (",", False)),
    "nothing in each row": ("?,0.5,x\n2,0.4,y\n", (",", False)),
    "words alone": ("a,b\nc,d\n", (",", True)),
    "row numbers": (",a,b\n0,1,x\n1,2,y\n", (",", True)),
    "a number among names": ("a,2020\n1,2\n3,4\n", (",", True)),
    "years": ("country,1990,1995\nA,1.5,2\nB,3,4\n", (",", True)),
    "years alone": ("1990,1991\n10,7\n5,4\n", (",", True)),
    "years in rows": ("1990,1991\n1992,1993\n", (",", False)),
    "pixels": ("0,1,2,3\n255,0,0,9\n0,7,0,9\n", (",", True)),
    "few numbers that rise": ("1,2\n255,0\n", (",", False)),
    "only a header": ("a,b\n", (",", True)),
    "only a row": ("1,b\n", (",", False)),
    "nothing": ("", (",", True)),
}


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES)
def test_files(text: str, expected: tuple[str, bool]):
    assert dialect(text) == expected


def test_a_decimal_comma_separates_nothing():
    assert dialect("1,5\n2,5\n", ",")[0] != ","
    assert dialect("a;b\n1,5;2,5\n", ",") == (";", True)


def test_what_is_not_usual_is_noted():
    def notes(text: str) -> tuple[str, ...]:
        return find(text.splitlines(keepends=True), "auto", ".", "auto").notes

    assert notes("a,b\n1,2\n") == ()
    assert notes("a\tb\n1\t2\n") == ("separator 'tab'",)
    assert notes("1990,1991\n10,7\n") == (
        "the first line is taken as names, though 1990 is a number; "
        "data.header: false reads it as a row",
    )


def test_what_is_said_is_obeyed():
    found = find(["1,2;3\n", "4,5;6\n"], ",", ".", True)
    assert (found.separator, found.header, found.notes) == (",", True, ())


NAME = st.text(st.sampled_from("abcde_"), min_size=1, max_size=5)


@given(st.data(), st.sampled_from([";", "\t", "|", ","]), st.booleans())
def test_a_table_of_numbers_under_names(data: st.DataObject, separator: str, header: bool):
    width = data.draw(st.integers(2, 5))
    row = st.lists(st.integers(-99, 99) | st.floats(-1, 1), min_size=width, max_size=width)
    rows: list[list[object]] = [list(row) for row in data.draw(st.lists(row, min_size=1))]
    if header:
        rows.insert(0, [*data.draw(st.lists(NAME, min_size=width, max_size=width))])
    else:
        rows.insert(0, [0.5] * width)
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    assert dialect(text.getvalue()) == (separator, header)
