"""Configs spoiled at random: each still loads, or each of its faults is a line with a place.

Two ways to spoil one: its values, where any key gets any value or goes missing, and its text,
where bytes, lines and indents change. Most are loaded in this process; some go through the real
command line, where an error must leave nothing behind.
"""

import itertools
import json
import re
import resource
import time
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TINY, mutated_configs, valid_configs
from harness import Start, Tally
from nnarch import yamlfile
from nnarch.config import Config, load
from nnarch.errors import ConfigError
from nnarch.listing import runlist

CONFIGS = Path(__file__).parents[2] / "configs"
TEXTS = [path.read_bytes() for path in sorted(CONFIGS.glob("*.yaml"))]
CLASSES = """\
data:
  source: sklearn
  dataset: iris
model:
  name: mlp
  widths: [4, 4]
  activation: {name: elu, alpha: 0.5}
optimizer:
  name: sgd
  lr: 1e-2
epochs: 2
metrics: [accuracy, f1]
early_stopping: {patience: 3}
"""
LAYERS = """\
# Layer by layer.
data: {source: synthetic, rows: 50, kind: linear, noise: 0.1}
model:
  layers:
  - {Linear: 8, as: first}
  - ReLU
  - residual: [{Linear: same}]
  - {Linear: out}
loss: huber
schedule: {name: cosine, warmup: 1}
epochs: 2
clip:
  norm: 1
average: {decay: 0.9}
batch_size: 16
"""
SMALL = [text.encode() for text in (TINY, CLASSES, LAYERS)]
PIECES = (
    *(b"\n", b" ", b"  ", b"\t", b"\r", b":", b": ", b"- ", b"? ", b"[", b"]", b"{", b"}", b","),
    *(b"'", b'"', b"#", b"&a ", b"*a", b"!!str ", b"%", b"|", b">", b"@", b"`", b"\\", b"<<: "),
    *(b"---\n", b"~", b"0", b"9", b"-", b".", b"e9", b"1e999", b".nan", b"0x", b"\xff", b"\0"),
    *("é".encode(), "\u2028".encode(), b"\xef\xbb\xbf", b"true", b"null", b"{choice: [1, 2]}"),
)
SLOW = 3.0  # seconds of computing that no config may take to be read
LONGEST = 2000  # characters of a line
EACH = 150  # configs a seed
MEMORY = 6 * 2**30  # bytes; some configs ask for much


@st.composite
def mutated_texts(draw: st.DrawFn, texts: list[bytes]) -> bytes:
    """The bytes of a right config with up to three changes."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.sampled_from([_flipped, _inserted, _cut, _line_moved, _indented]))(
            draw, text
        )
    return text


def _flipped(draw: st.DrawFn, text: bytes) -> bytes:
    at = draw(st.integers(0, max(len(text) - 1, 0)))
    return (
        text[:at]
        + bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in text[at : at + 1])
        + text[at + 1 :]
    )


def _inserted(draw: st.DrawFn, text: bytes) -> bytes:
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + text[at:]


def _cut(draw: st.DrawFn, text: bytes) -> bytes:
    start = draw(st.integers(0, len(text)))
    return text[:start] + text[start + draw(st.integers(0, 20)) :]


def _line_moved(draw: st.DrawFn, text: bytes) -> bytes:
    """A line stands elsewhere, or elsewhere as well."""
    lines = text.splitlines(keepends=True) or [b""]
    line = draw(st.sampled_from(lines))
    if draw(st.booleans()):
        lines.remove(line)
    lines.insert(draw(st.integers(0, len(lines))), line)
    return b"".join(lines)


def _indented(draw: st.DrawFn, text: bytes) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    at = draw(st.integers(0, len(lines) - 1))
    indent = draw(st.sampled_from([b"", b" ", b"  ", b"    ", b"\t"]))
    lines[at] = indent + lines[at].lstrip()
    return b"".join(lines)


def same(one: Config, other: Config) -> bool:
    """Equal, and of equal types: 1 is not 1.0 here, nor true."""
    return json.dumps(one.model_dump()) == json.dumps(other.model_dump())


def is_config(path: Path) -> bool:
    """Whether `path` loads; if not, that each fault is a line with its place."""
    began = time.process_time()
    try:
        config = load(path)
    except ConfigError as error:
        for line in error.lines:
            assert re.match(re.escape(str(path)) + r":[1-9][0-9]*: \S", line), line
            assert len(line) < LONGEST
            assert line.isprintable()
        return False
    finally:
        assert time.process_time() - began < SLOW
    assert same(load(yamlfile.parse(config.to_yaml(), "resolved.yaml").value), config)
    return True


def loads(path: Path, tally: Tally, seed: int, spoiled: st.SearchStrategy[Any]) -> None:
    """Load what `EACH` draws of `spoiled` give."""
    right = 0

    @hypothesis.seed(seed)
    @settings(max_examples=EACH, database=None)
    @given(spoiled)
    def check(config: Any) -> None:
        nonlocal right
        path.write_bytes(config if isinstance(config, bytes) else yamlfile.dump(config).encode())
        right += is_config(path)

    check()
    tally("spoiled configs loaded or refused", EACH)
    tally("of which were right all the same", right)


@pytest.mark.share(1, 34)
def test_any_change_of_values_is_a_config_or_its_faults(
    tmp_path: Path, tally: Tally, seed: int
) -> None:
    loads(tmp_path / "spoiled.yaml", tally, seed, mutated_configs())


@pytest.mark.share(1, 34)
def test_any_change_of_text_is_a_config_or_its_faults(
    tmp_path: Path, tally: Tally, seed: int
) -> None:
    loads(tmp_path / "spoiled.yaml", tally, seed, mutated_texts(TEXTS))


DATA = (
    {"source": "synthetic", "rows": 40, "features": 3},
    {"source": "synthetic", "rows": 40, "kind": "spirals"},
    {"source": "sklearn", "dataset": "iris"},
    {"source": "waves", "steps": 60, "lookback": 5, "horizon": 2},
)


@st.composite
def soon_trained(draw: st.DrawFn) -> dict[str, Any]:
    """A few keys of any right config, over little data."""
    config = draw(valid_configs())
    able = sorted(config.keys() - {"data", "init_from", "compile", "threads", "device"})
    keys = draw(st.lists(st.sampled_from(able), max_size=3, unique=True)) if able else []
    return {"data": draw(st.sampled_from(DATA)), **{key: config[key] for key in keys}}


def ends(child: Start, folder: Path, command: str, config: Any) -> int:
    """The exit code of `command`; that a refusal is told in lines, and leaves nothing behind."""
    folder.mkdir()
    text = config if isinstance(config, bytes) else yamlfile.dump(config).encode()
    (folder / "spoiled.yaml").write_bytes(text)
    done = child(command, "spoiled.yaml", "epochs=1", "threads=1", "compile=false", cwd=folder)
    resource.prlimit(done.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
    code, runs = done.wait(), runlist.runs(folder / "runs")
    assert code in (0, 3, 4, 5, 7, 8), done.stderr
    assert "Traceback" not in done.stderr
    if code in (0, 8) and command == "train":
        (run,) = runs
        assert run.about["exit_code"] == code
    else:
        assert not (folder / "runs").exists()
    if code:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert errors
        assert all(len(line) < LONGEST for line in errors)
        assert code == 8 or done.stdout == ""
    return code


@pytest.mark.share(1, 30)
def test_any_spoiled_config_ends_the_command_in_order(
    child: Start, tmp_path: Path, tally: Tally, seed: int
) -> None:
    spoiled = mutated_configs(soon_trained()) | mutated_texts(SMALL)
    folders, codes = (tmp_path / str(number) for number in itertools.count()), []

    @hypothesis.seed(seed)
    @settings(max_examples=10, database=None)
    @given(st.sampled_from(["train", "check"]), spoiled)
    def check(command: str, config: Any) -> None:
        codes.append(ends(child, next(folders), command, config))

    check()
    tally("spoiled configs through the command line", len(codes))
    tally("of which were right all the same, there", codes.count(0))
