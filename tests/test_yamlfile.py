"""The text of a config: what it means, on which line it stands, and what is refused of it."""

import math
import pathlib
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnarch.errors import ConfigError
from nnarch.yamlfile import MAX_BYTES, MAX_NODES, Document, Path, dump, parse, parse_value, read

CONFIG = """\
# A small network.
name: digits
model:
  kind: mlp
  widths: &widths [64, 64]   # hidden layers
  head: {widths: *widths, bias: true}
optimizer:
  lr: 1e-3
  betas:
    - 0.9
    - 0.999
  note: "tab:\\tend"
data:
- {path: 'a.csv', sep: ","}
-
  path: |
    b.csv
seed: ~
"""

patient = settings(deadline=None)  # how long an example takes is not what is tested


def faults(text: bytes | str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "m.yaml")
    return caught.value.faults


def test_config_is_read_with_the_line_of_every_path() -> None:
    document = parse(CONFIG, "m.yaml")
    assert document.source == "m.yaml"
    assert document.value == {
        "name": "digits",
        "model": {
            "kind": "mlp",
            "widths": [64, 64],
            "head": {"widths": [64, 64], "bias": True},
        },
        "optimizer": {"lr": 0.001, "betas": [0.9, 0.999], "note": "tab:\tend"},
        "data": [{"path": "a.csv", "sep": ","}, {"path": "b.csv\n"}],
        "seed": None,
    }
    assert document.lines == {
        (): 2,
        ("name",): 2,
        ("model",): 3,
        ("model", "kind"): 4,
        ("model", "widths"): 5,
        ("model", "widths", 0): 5,
        ("model", "widths", 1): 5,
        ("model", "head"): 6,
        ("model", "head", "widths"): 6,
        ("model", "head", "widths", 0): 5,
        ("model", "head", "widths", 1): 5,
        ("model", "head", "bias"): 6,
        ("optimizer",): 7,
        ("optimizer", "lr"): 8,
        ("optimizer", "betas"): 9,
        ("optimizer", "betas", 0): 10,
        ("optimizer", "betas", 1): 11,
        ("optimizer", "note"): 12,
        ("data",): 13,
        ("data", 0): 14,
        ("data", 0, "path"): 14,
        ("data", 0, "sep"): 14,
        ("data", 1): 16,
        ("data", 1, "path"): 16,
        ("seed",): 18,
    }


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), "m.yaml:2"),
        (("optimizer", "lr"), "m.yaml:8"),
        (("optimizer", "decay"), "m.yaml:7"),
        (("model", "widths", 7, "x"), "m.yaml:5"),
        (("epochs",), "m.yaml:2"),
    ],
)
def test_where_is_the_line_of_the_nearest_written_ancestor(path: Any, place: str) -> None:
    assert parse(CONFIG, "m.yaml").where(path) == place


def test_line_of_an_entry_is_the_line_of_its_key() -> None:
    document = parse("a:\n\n  - 1\n? b\n: \n  2\n", "m.yaml")
    assert document.lines == {(): 1, ("a",): 1, ("a", 0): 3, ("b",): 4}


def test_lines_end_in_any_of_the_usual_ways() -> None:
    for end in ("\n", "\r\n", "\r"):
        document = parse(end.join(["a: 1", "", "b: 2"]), "m.yaml")
        assert document.value == {"a": 1, "b": 2}
        assert document.where(("b",)) == "m.yaml:3"


def test_alias_is_a_copy_on_the_line_of_the_alias() -> None:
    document = parse("a: &x [1]\nb:\n- *x\n- *x\nc: 3", "m.yaml")
    assert document.value == {"a": [1], "b": [[1], [1]], "c": 3}
    assert document.lines[("b", 1)] == 4
    assert document.lines[("b", 1, 0)] == 1
    document.value["b"][0].append(2)
    assert document.value == {"a": [1], "b": [[1, 2], [1]], "c": 3}


def test_alias_can_stand_for_a_key() -> None:
    assert parse("a: &x lr\n*x : 3", "m.yaml").value == {"a": "lr", "lr": 3}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "Null", "NULL", "# nothing")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("010", 10),
        ("-08", -8),
        ("0o17", 15),
        ("0x1F", 31),
        ("0xff", 255),
        ("9007199254740993", 9007199254740993),
        ("9" * 300, 10**300 - 1),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1e+3", 1000.0),
        ("1.5", 1.5),
        ("-1.5e2", -150.0),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("01.50", 1.5),
    ],
)
def test_plain_scalar_follows_the_core_schema(text: str, value: Any) -> None:
    read_back = parse_value(text, "--set")
    assert read_back == value
    assert type(read_back) is type(value)
    assert parse(f"a: {text}", "m.yaml").value == {"a": value}


@pytest.mark.parametrize(
    "text",
    [
        *("no", "No", "off", "on", "yes", "y", "n", "tRUE", "nUll", "none", "None", "nil"),
        *("12:30", "2024-01-01", "1_000", "0b1", "0o8", "0xg", "-0x1", "+0o7", "1e", "e3", "1.2.3"),
        *(".", "+", "1,5", "=", "<<", "inf", "nan", "-.nan", "1 2", "\u0661", "a#b", "x:y"),
    ],
)
def test_other_plain_scalars_are_text(text: str) -> None:
    assert parse(f"a: {text}", "m.yaml").value == {"a": text}


@pytest.mark.parametrize("text", ["", "~", "null", "true", "1", "1e3", "0x1F", ".inf", "<<", "!x"])
def test_quoted_scalar_is_always_text(text: str) -> None:
    assert parse(f"a: '{text}'\nb: \"{text}\"", "m.yaml").value == {"a": text, "b": text}
    assert parse(f'"{text}": 1', "m.yaml").value == {text: 1}


def test_block_scalar_is_always_text() -> None:
    assert parse("a: |-\n  1\nb: >-\n  true", "m.yaml").value == {"a": "1", "b": "true"}


@pytest.mark.parametrize("text", [b"a: \xc3\xa9", b"\xef\xbb\xbfa: \xc3\xa9", "a: é", "\ufeffa: é"])
def test_text_is_utf_8_with_or_without_a_byte_order_mark(text: bytes | str) -> None:
    assert parse(text, "m.yaml").value == {"a": "é"}


@pytest.mark.parametrize(
    ("text", "value"), [('"\\0"', "\0"), ('"\\u2028"', "\u2028"), ('"\\U0001F600"', "😀")]
)
def test_escapes_stand_for_any_character(text: str, value: str) -> None:
    assert parse(f"a: {text}", "m.yaml").value == {"a": value}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: .inf", "1: a: got .inf; expected a finite number"),
        ("a: 1\nb: [-.INF]", "2: b[0]: got -.INF; expected a finite number"),
        ("a: {b: .nan}", "1: a.b: got .nan; expected a finite number"),
        ("a: 1e400", "1: a: got 1e400; expected a finite number"),
        ("a: -1e999", "1: a: got -1e999; expected a finite number"),
        ("a: 1e-400", "1: a: got 1e-400; expected 0, or a number that is not as near to it"),
        ("a: -.001e-400", "1: a: got -.001e-400; expected 0, or a number that is not as near"),
        ("a: " + "1" * 301, f"1: a: got {'1' * 57}...; expected a number of at most 300 digits"),
        ("a: 0." + "1" * 9000, f"1: a: got 0.{'1' * 55}...; expected a number of at most 300"),
        ("a: 0x" + "f" * 250, f"1: a: got 0x{'f' * 55}...; expected a number of at most 300"),
        ("a: 1\nb: 2\na: 3", "3: key 'a' is repeated; it is first given on line 1"),
        ("x:\n  a: 1\n  'a': 3", "3: key 'a' is repeated; it is first given on line 2"),
        (
            "<<: {a: 1}",
            "1: merge keys '<<' are not supported; put the shared keys in a config file of their"
            " own, since several files on the command line are merged",
        ),
        ("1: a", '1: keys must be text, got a number; quote it: "1"'),
        ("a: {1.5: 2}", '1: keys must be text, got a number; quote it: "1.5"'),
        ("true: a", '1: keys must be text, got a boolean; quote it: "true"'),
        ("null: a", '1: keys must be text, got null; quote it: "null"'),
        ("a: 1\n[b]: 1", "2: keys must be text, got a list"),
        ("a: {{ b }}", "1: keys must be text, got a mapping"),
        ("a: !x 1", "1: tags are not allowed; quote text that begins with !"),
        ("a: 1\nb: !!str 1", "2: tags are not allowed; quote text that begins with !"),
        ("!!python/object:a.b {}", "1: tags are not allowed; quote text that begins with !"),
        ("%YAML 1.2\n---\na: 1", "1: directives are not allowed; quote text that begins with %"),
        ("a: 1\n---\nb: 1", "2: a second document starts here; a config is one document"),
        ("a: 1\n---\n", "2: a second document starts here; a config is one document"),
        ("a: &x [*x]", "1: alias 'x' is inside its own anchor"),
        ("a: &x\n  b: [{c: *x}]", "2: alias 'x' is inside its own anchor"),
        ("a: 1\nb: *x", "2: alias 'x' has no anchor above it"),
        ("a: &x 1\nb: &x 2", "2: anchor 'x' is repeated; it is first given on line 1"),
        ("", "1: the config is empty; expected a mapping of keys to values"),
        ("# nothing\n\n", "1: the config is empty; expected a mapping of keys to values"),
        ("---\n...\n", "1: the config is empty; expected a mapping of keys to values"),
        ("\n- a", "2: expected a mapping of keys to values, got a list"),
        ("a", "1: expected a mapping of keys to values, got a string"),
        ("''", "1: expected a mapping of keys to values, got a string"),
        ("3", "1: expected a mapping of keys to values, got a number"),
        ("no: \0", "1: character U+0000 at column 5 is not allowed; write it as an escape"),
        ("a: 1\nb: \x1b[0m", "2: character U+001B at column 4 is not allowed; write it as an"),
        ("a: x\u2028b: 2", "1: character U+2028 at column 5 is not allowed; write it as an escape"),
        ("a: b\ufeff", "1: character U+FEFF at column 5 is not allowed; write it as an escape"),
        (b"a: 1\nb: \xff", "2: not UTF-8 at byte 8"),
        (b"\xff\xfea\0:\0", "1: not UTF-8 at byte 0"),
        ("a: \ud800", "1: not UTF-8 at byte 3"),
        ("a:\n\tb: 1", "2: tab at column 1; indent with spaces"),
        ("a:\n  \tb: 1", "2: tab at column 3; indent with spaces"),
        ("a:\t1", "1: tab at column 3; separate with spaces"),
        ("a: 1\nb: 'x\nc: 1\n", "2: the quote at column 4 is not closed"),
        ('a: "x\n---\nb: "', "1: the quote at column 4 is not closed"),
        ("a: 1\nb: [1, 2", "2: the '[' at column 4 is not closed"),
        ("a: 1\nb: [1,\n\n", "2: the '[' at column 4 is not closed"),
        ("a: {x: 1,\n  y: {", "2: the '{' at column 6 is not closed"),
        (
            "a: [1\nb: 2\nc: 3",
            "1: the '[' at column 4 is not closed, or lacks a comma or a value at",
        ),
        (
            "a: ['x' 'y']",
            "1: the '[' at column 4 is not closed, or lacks a comma or a value at line",
        ),
        ("a: @x", "1: '@' at column 4 cannot begin a value; quote text that begins with it"),
        ("a: ]", "1: column 4 cannot begin a value; quote text that begins with it"),
        ("a: b: c", "1: column 5 has a ':' that cannot be there; check the indentation"),
        ("a: 1\n  b: 2", "2: column 4 has a ':' that cannot be there; check the indentation"),
        ("a: - 1", "1: column 4 has a '-' that cannot be there; begin the list on a line of its"),
        ("a:\n  b: 1\n c: 2", "3: column 2 does not fit what is above or before it; check the"),
        (" a: 1\nb: 2", "2: column 1 does not fit what is above or before it; check the"),
        ("a: 1\nlr:0.1\nb: 2", "2: expected ':' and a space after a key"),
        ('a: "C:\\data"', "1: column 8 follows a backslash but is no escape; write the backslash"),
        ('a: "\\ud800"', "1: an escape in this string is not a character"),
        ('a: "\\UFFFFFFFF"', "1: an escape in this string is not a character"),
        ('a: "x\n  \\U00110000"', "2: an escape in this string is not a character"),
        ("a: |x", "1: expected chomping or indentation indicators, but found 'x' while scanning"),
    ],
)
def test_refused_text_is_one_line_with_its_place(text: bytes | str, fault: str) -> None:
    (given_fault,) = faults(text)
    assert given_fault.startswith(f"m.yaml:{fault}")
    assert given_fault == given_fault.splitlines()[0]


@pytest.mark.parametrize("name", ["x" * 9000, "é" * 9000])
def test_fault_does_not_repeat_a_long_name_in_full(name: str) -> None:
    (fault,) = faults(f"? {name}\n: 1\n? {name}\n: 2")
    assert len(fault) < 200


@pytest.mark.parametrize(
    "unit", ["[", "{", "- ", "? ", "{a: ", "[a: ", "{? ", "- ? ", "[\n", "[a, "]
)
def test_deep_nesting_is_refused_as_such(unit: str) -> None:
    for text in (unit * 100_000, "a:\n  " + unit * 100_000):
        (fault,) = faults(text)
        assert re.fullmatch(r"m\.yaml:\d+: nested deeper than 32 levels", fault)


def test_nesting_is_accepted_up_to_its_bound() -> None:
    value = parse("a: " + "[" * 31 + "x" + "]" * 31, "m.yaml").value["a"]
    for _ in range(31):
        (value,) = value
    assert value == "x"
    assert faults("a: " + "[" * 32 + "]" * 32) == ["m.yaml:1: nested deeper than 32 levels"]


def test_nesting_through_an_alias_counts() -> None:
    text = "a: &x " + "[" * 20 + "]" * 20 + "\nb: {}*x{}"
    assert parse(text.format("[" * 11, "]" * 11), "m.yaml").lines
    assert faults(text.format("[" * 12, "]" * 12)) == ["m.yaml:1: nested deeper than 32 levels"]


def test_aliases_are_bounded() -> None:
    text = "a: &x 1\nb: [{}]"
    assert parse(text.format("*x, " * 20), "m.yaml").value["b"] == [1] * 20
    assert faults(text.format("*x, " * 21)) == ["m.yaml:2: more than 20 aliases"]


def test_nodes_are_bounded_as_written() -> None:
    values = "1, " * (MAX_NODES - 3)  # beside the mapping, its key and the list
    assert len(parse(f"a: [{values}]", "m.yaml").value["a"]) == MAX_NODES - 3
    assert faults(f"a: [{values} 1]") == [
        "m.yaml:1: more than 20000 keys and values, aliases expanded"
    ]


@pytest.mark.parametrize(
    ("seed", "fault"),
    [
        ("[" + "x, " * 2000 + "]", "more than 20000 keys and values, aliases expanded"),
        ("{a: " + "x" * 500_000 + "}", "aliases repeat more than 1048576 bytes of text"),
        ("{" + "k" * 1000 + ": '" + "x" * 200_000 + "'}", "aliases repeat more than"),
    ],
)
def test_nodes_and_text_are_bounded_as_expanded(seed: str, fault: str) -> None:
    doubled = [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 11)]
    (given_fault,) = faults(f"a0: &a0 {seed}\n" + "".join(doubled))
    assert fault in given_fault


def test_size_is_bounded() -> None:
    text = b"a: 1\n#"
    assert parse(text.ljust(MAX_BYTES, b"#"), "m.yaml").value == {"a": 1}
    expected = ["m.yaml:1: larger than 1048576 bytes, the most that is accepted"]
    assert faults(text.ljust(MAX_BYTES + 1, b"#")) == expected
    assert faults("é" * (MAX_BYTES // 2 + 1)) == expected


def test_file_is_read_by_its_name(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mlp.yaml"
    path.write_bytes(b"\xef\xbb\xbflr: 1e-3\r\n")
    document = read(path)
    expected = Document({"lr": 0.001}, {(): 1, ("lr",): 1}, str(path), "lr: 1e-3\r\n")
    assert document == expected
    path.write_bytes(b"lr: [")
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert caught.value.faults == [f"{path}:1: the '[' at column 5 is not closed"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.yaml", "No such file or directory"),
        (".", "Is a directory"),
        ("x" * 300, "File name too long"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_file_that_cannot_be_read_is_named(tmp_path: pathlib.Path, name: str, reason: str) -> None:
    path = tmp_path / name
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert caught.value.faults == [f"{path}: cannot be read: {reason}"]


@pytest.mark.skipif(not pathlib.Path("/dev/zero").exists(), reason="needs a file without an end")
def test_endless_file_is_refused_for_its_size() -> None:
    with pytest.raises(ConfigError, match="/dev/zero:1: larger than 1048576 bytes"):
        read(pathlib.Path("/dev/zero"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[64,64]", [64, 64]),
        ("{float: [1e-4, 1e-1], log: true}", {"float": [0.0001, 0.1], "log": True}),
        ("adam w", "adam w"),
        ("'1'", "1"),
        (" 1 ", 1),
        ("1 # one", 1),
        ("a: b", {"a": "b"}),
        ("- 1\n- 2", [1, 2]),
        ("{}", {}),
        ("a,b", "a,b"),
    ],
)
def test_override_value_is_read_as_in_a_file(text: str, value: Any) -> None:
    assert parse_value(text, "--set") == value


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1,", "x:1: the '[' at column 1 is not closed"),
        ("1e999", "x:1: got 1e999; expected a finite number"),
        ("!!int 1", "x:1: tags are not allowed; quote text that begins with !"),
        ("[" * 33, "x:1: nested deeper than 32 levels"),
        ("1\n--- 2", "x:2: a second document starts here; a config is one document"),
        ("{a: 1, a: 2}", "x:1: key 'a' is repeated; it is first given on line 1"),
    ],
)
def test_override_value_is_refused_as_in_a_file(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_value(text, "x")
    assert caught.value.faults == [fault]


def test_dump_is_plain_block_style_in_the_given_order() -> None:
    value = {
        "model": {"kind": "mlp", "widths": [64, 64], "none": [], "more": {}},
        "lr": 1e-05,
        "big": 1e22,
        "half": 0.5,
        "note": "no",
        "ratio": "12:30",
        "search": [{"a": 1}, [1, None, True]],
        "é": "naïve ☃",
        "text": "a\nb",
        "long": list(range(100, 130)),
    }
    lines = dump(value).splitlines()
    assert lines[:16] == [
        "model:",
        "  kind: mlp",
        "  widths: [64, 64]",
        "  none: []",
        "  more: {}",
        "lr: 1.0e-05",
        "big: 1.0e+22",
        "half: 0.5",
        "note: 'no'",
        "ratio: '12:30'",
        "search:",
        "- a: 1",
        "- [1, null, true]",
        "é: naïve ☃",
        'text: "a\\nb"',
        "long:",
    ]
    assert lines[16:] == [f"- {number}" for number in range(100, 130)]


def test_dump_does_not_wrap_lines() -> None:
    assert dump({"a": "word " * 200 + "end"}).count("\n") == 1


def test_dump_repeats_what_is_shared() -> None:
    shared = [1, 2]
    assert dump({"a": shared, "b": shared}) == "a: [1, 2]\nb: [1, 2]\n"


CORE = ["1e3", "010", "+.5", "0o17", "0x1F", "08", "5.", "~", "", "null", "true", ".inf", "9" * 400]
YAML_1_1 = ["no", "On", "y", "N", "12:30", "1_000", "0b1", "0x_1", "2024-01-01", "=", "<<"]
SYNTAX = [
    "- a",
    "a: b",
    "#x",
    "a #b",
    "[a",
    "a,b]",
    "'",
    '"',
    "!x",
    "&x",
    "*x",
    "%x",
    "@x",
    "?",
    "-",
]
SPACE = [" a", "a ", "\n", "a\n", "\ta", "a\r\n", "\x85", "\u2028", "\xa0", "\ufeff", "\x00", "---"]


@pytest.mark.parametrize("text", CORE + YAML_1_1 + SYNTAX + SPACE)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    value = {text: text, "list": [text, "x"], "map": {"a": text}}
    assert parse(dump(value), "m.yaml").value == value
    assert yaml.safe_load(dump(value)) == value


@pytest.mark.parametrize("text", CORE + YAML_1_1)
def test_text_that_some_reader_takes_for_something_else_is_quoted(text: str) -> None:
    assert dump({"a": text}) == f"a: '{text}'\n"


texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(CORE + SYNTAX + SPACE)
looks = st.from_regex(r"[-+.0-9eExob_:~<=yn ]{1,8}", fullmatch=True)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts | looks
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    return repr(left) == repr(right)


@patient
@given(st.dictionaries(texts | looks, values))
@example({"a": -0.0, "b": 1e-05, "c": 1e22, "d": 0.1, "e": 5e-324, "f": 10**300 - 1})
@example({"k" * 200: {"": [[], {}]}})
def test_what_is_dumped_reads_back_equal(value: dict[str, Any]) -> None:
    text = dump(value)
    assert same(parse(text, "m.yaml").value, value)
    assert same(yaml.safe_load(text), value)


@patient
@given(values)
def test_single_value_that_is_dumped_reads_back_equal(value: Any) -> None:
    assert same(parse_value(dump(value), "--set"), value)


@patient
@given(numbers)
def test_number_is_read_as_python_reads_it(value: float) -> None:
    assert same(parse_value(repr(value), "--set"), value)


def check_only_a_document_or_a_fault(text: bytes | str) -> None:
    try:
        document = parse(text, "m.yaml")
    except ConfigError as error:
        (fault,) = error.faults
        assert re.match(r"m\.yaml:[1-9][0-9]*: \S", fault)
        assert len(fault.splitlines()) == 1
        assert len(fault) < 300
        return
    assert isinstance(document.value, dict)
    whole = text.decode() if isinstance(text, bytes) else text
    line_count = len(re.split("\r\n|\r|\n", whole))
    paths: dict[Path, Any] = {}
    for path, line in document.lines.items():
        paths[path] = paths[path[:-1]][path[-1]] if path else document.value
        assert 1 <= line <= line_count
    leaves = [value for value in paths.values() if isinstance(value, float)]
    assert all(math.isfinite(leaf) for leaf in leaves)
    assert same(parse(dump(document.value), "m.yaml").value, document.value)


SNIPPETS = [
    *("\n", " ", "  ", "\t", "\r", ":", ": ", "- ", "? ", "[", "]", "{", "}", ",", "'", '"', "#"),
    *("&a ", "*a", "!", "!!str ", "%", "|", ">", "@", "`", "\\", "<<: ", "---\n", "...\n", "~"),
    *(
        "a",
        "1",
        "1e999",
        "0x",
        ".inf",
        "a: 1\n",
        '"\\',
        '"\\ud800"',
        '"\\U99999999"',
        "\ufeff",
        "\0",
    ),
]


@patient
@given(st.text())
def test_any_text_is_a_document_or_a_fault(text: str) -> None:
    check_only_a_document_or_a_fault(text)


@patient
@given(st.binary())
def test_any_bytes_are_a_document_or_a_fault(text: bytes) -> None:
    check_only_a_document_or_a_fault(text)


@patient
@given(st.lists(st.sampled_from(SNIPPETS), max_size=30))
def test_any_pieces_of_yaml_are_a_document_or_a_fault(pieces: list[str]) -> None:
    check_only_a_document_or_a_fault("".join(pieces))


@patient
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(CONFIG)),
            st.integers(0, 8),
            st.sampled_from(["", *SNIPPETS]) | st.text(max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_mutation_of_a_config_is_a_document_or_a_fault(
    changes: list[tuple[int, int, str]],
) -> None:
    text = CONFIG
    for start, length, replacement in changes:
        text = text[:start] + replacement + text[start + length :]
    check_only_a_document_or_a_fault(text)


@patient
@given(st.text(), st.sampled_from(["", "[", "{", '"', "'"]))
def test_any_override_is_a_value_or_a_fault(text: str, opening: str) -> None:
    try:
        value = parse_value(opening + text, "--set")
    except ConfigError as error:
        (fault,) = error.faults
        assert re.match(r"--set:[1-9][0-9]*: \S", fault)
    else:
        assert same(parse_value(dump(value), "--set"), value)
