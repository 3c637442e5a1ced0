"""The fast reading of our own YAML, held against the reading of any YAML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import JUNK, valid_configs
from nnarch import plainyaml, yamlfile
from nnarch.errors import ConfigError

KEYS = st.from_regex(r"[A-Za-z_]\w{0,6}", fullmatch=True) | st.text(max_size=5)
TREES = st.dictionaries(KEYS, JUNK, min_size=1, max_size=4)
PIECES = [
    "\n",
    "  ",
    " ",
    "- ",
    ": ",
    "#",
    " # x",
    '"',
    "'",
    "[",
    "{}",
    "|",
    "&a ",
    "*a",
    "7",
    "\t",
]


def same(one: object, other: object) -> bool:
    """Whether two values are equal, of the same types, in the same order."""
    return repr(one) == repr(other)


@given(TREES | valid_configs())
def test_what_we_write_reads_back(tree: dict[str, object]) -> None:
    text = yamlfile.dump(tree)
    assert same(plainyaml.whole(text, "x"), tree)
    for key, value in tree.items():
        assert same(plainyaml.section(text, key, "x"), value)


@given(TREES | valid_configs(), st.data())
def test_what_was_edited_reads_as_by_yaml(tree: dict[str, object], data: st.DataObject) -> None:
    text = yamlfile.dump(tree)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        text = text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[start + cut :]
    try:
        expected = yamlfile.parse(text, "x").value
    except ConfigError:
        return
    assert same(plainyaml.whole(text, "x"), expected)
    for key, value in expected.items():
        assert same(plainyaml.section(text, key, "x"), value)


@pytest.mark.parametrize(
    "text",
    [
        "# mine\nlr: 0.1\n",
        "lr: 0.1  # slow\n",
        "a: {b: 1, c: [2, 3]}\n",
        "a:\n    b: 1\n    c: 2\n",
        "a: &x [1]\nb: *x\n",
        "a: |\n  two\n  lines\nb: 1\n",
        "a: two\n  lines\nb: 1\n",
        "a: 010\nb: 1_000\nc: 1e5\nd: +1\ne: .5\nf: 0x10\ng: ~\nh: True\ni: 'no'\n",
        "a:\nb: 1\n",
        "a:\n- 1\n-\n- b\n",
        "a: 1\r\nb: 2\r\n",
        "{a: 1, b: 2}",
        "---\na: 1\n",
    ],
)
def test_what_a_person_writes(text: str) -> None:
    expected = yamlfile.parse(text, "x").value
    assert same(plainyaml.whole(text, "x"), expected)
    assert same({key: plainyaml.section(text, key, "x") for key in expected}, expected)


def test_a_key_that_is_not_there() -> None:
    for text in ("a: 1\nc:\n  b: 2\n", "# mine\na: 1\n"):
        for key in ("b", "  b", "", "a: 1\nc", "1", "A"):
            with pytest.raises(KeyError):
                plainyaml.section(text, key, "x")


@pytest.mark.parametrize("text", ["", "a: [1\n", "a: 1\na: 2\n", "a: .inf\n", "- 1\n", "\0"])
def test_what_is_no_config(text: str) -> None:
    with pytest.raises(ConfigError):
        plainyaml.whole(text, "x")
    with pytest.raises(ConfigError):
        plainyaml.section(text, "a", "x")


def test_what_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(ConfigError, match="deep"):
        plainyaml.whole(f"a:\n{'- ' * 5000}1\n", "x")
