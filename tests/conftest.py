"""What tests share: the command line as a user runs it, and configs, a small one and any at all."""

import copy
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import BaseModel

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small networks; more threads only wait

import nnarch as library
from nnarch.component import Component
from nnarch.config import NAME, Config
from nnarch.registry import REGISTRIES
from nnarch.validate import json_schema, mark

if TYPE_CHECKING:
    from harness import Start

pytest_plugins = ["harness", "hostile"]

# A busy machine is no fault. What decides whether a change may land tries the same cases each time;
# everywhere else new ones are looked for, and more of them.
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    max_examples=40 if "CI" in os.environ else 100,
)
settings.load_profile("patient")

Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]

TINY = """\
name: tiny
data: {source: synthetic, rows: 60, features: 3}
model: {widths: [4]}
epochs: 2
threads: 1
"""
# Processes that tests start find nnarch where this one did, wherever they are started.
SOURCE = str(Path(library.__file__).parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))


def error_lines(done: Done) -> list[str]:
    """What a command that failed said: lines of `error: ` on standard error, nothing else."""
    lines = done.stderr.splitlines()
    assert lines, "nothing was said"
    assert all(line.startswith("error: ") for line in lines), done.stderr
    assert done.stdout == ""
    return [line.removeprefix("error: ") for line in lines]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A config file that trains in a moment."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def nnarch(tmp_path: Path) -> Command:
    """Runs `nnarch` with the given words, in `tmp_path`, in a process of its own."""

    def run(
        *words: str | Path,
        stdin: str | bytes | None = None,
        env: dict[str, str] | None = None,
        cwd: Path = tmp_path,
    ) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "nnarch", *map(str, words)],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            timeout=120,
        )
        return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def nnarch_forked(child: "Start", tmp_path: Path) -> Command:
    """`nnarch` in a process of its own that has torch already; for what imports have no part in."""

    def run(*words: str | Path, cwd: Path = tmp_path) -> Done:
        begun = child(*words, cwd=cwd)
        return Done(list(words), begun.wait(), begun.stdout, begun.stderr)

    return run


@pytest.fixture
def nnarch_light(light_nursery: "Start", tmp_path: Path) -> Command:
    """`nnarch` where importing torch is a fault; all that is written is refused."""

    def run(*words: str | Path, env: dict[str, str] | None = None) -> Done:
        before = sorted(tmp_path.rglob("*"))
        begun = light_nursery(tmp_path, list(map(str, words)), env or {}, None)
        done = Done(list(words), begun.wait(), begun.stdout, begun.stderr)
        assert sorted(tmp_path.rglob("*")) == before, "something was written"
        return done

    return run


@pytest.fixture
def nnarch_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """`nnarch` in this process, which has torch already; for what needs no process of its own."""
    from nnarch import cli, interrupts

    handlers = {number: signal.getsignal(number) for number in interrupts.SIGNALS}

    def run(*words: str | Path) -> Done:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["nnarch", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ending:
            cli.main()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        code = ending.value.code
        assert isinstance(code, int)
        out, err = capfd.readouterr()
        return Done(list(words), code, out, err)

    return run


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nnarch import train

    root = tmp_path_factory.mktemp("finished")
    (root / "tiny.yaml").write_text(TINY)
    return train(root / "tiny.yaml", runs_dir=root / "runs").path


@pytest.fixture
def finished(_finished: Path, tmp_path: Path) -> Path:
    """The directory of a finished run of `TINY` below `tmp_path/runs`, to do anything with."""
    return Path(shutil.copytree(_finished, tmp_path / "runs" / _finished.name))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SHARE = st.floats(0.01, 0.4)
LISTS: list[list[Any]] = [
    [{"Linear": "out"}],
    [{"Linear": 8, "as": "wide"}, "relu", {"Linear": {"out_features": "out", "bias": False}}],
    [{"repeat": 2, "do": [{"residual": ["LayerNorm", {"Linear": "same"}], "drop": 0.1}]}, "GELU"],
    ["Flatten", {"concat": [[{"Linear": 4}], [{"Linear": 4}, {"elu": 0.5}]]}, {"Linear": "out"}],
]
BY_HAND = {  # what a JSON Schema does not say of a key
    "layers": st.sampled_from(LISTS),
    "name": st.from_regex(NAME, fullmatch=True),
    "device": st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:12"]),
    "monitor": st.sampled_from(["val_loss", "val_accuracy", "train_loss", "last"]),
    "split": st.builds(
        lambda val, test: {"train": 1 - val - test, "val": val, "test": test}, SHARE, SHARE
    ),
}


def valid_configs() -> st.SearchStrategy[dict[str, Any]]:
    """Any config that is right, as it could be written."""
    return valid_options(Config)


def valid_options(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Any right choice of the options of a section or component."""
    required, optional = {}, {}
    for name, part in json_schema(model).get("properties", {}).items():
        field = model.model_fields[name]
        if named := mark(field):
            value = st.deferred(lambda kind=named.kind: valid_components(kind))
            value = st.lists(value, max_size=2, unique_by=_name) if named.many else value
        elif name in BY_HAND:
            value = BY_HAND[name]
        else:
            value = _valid_values(part, json_schema(model))
        (required if field.is_required() else optional)[name] = value
    return st.fixed_dictionaries(required, optional=optional)


def _name(spec: Any) -> str:
    return spec if isinstance(spec, str) else spec["name"]


def valid_components(kind: str) -> st.SearchStrategy[Any]:
    """Any component of `kind` with any of its options, or its bare name where that is enough."""
    key = REGISTRIES[kind].kind.key

    def written(component: Component) -> st.SearchStrategy[Any]:
        options = valid_options(component.schema)
        full = options.map(lambda chosen: {key: component.name, **chosen})
        needs = any(field.is_required() for field in component.schema.model_fields.values())
        return full if needs else full | st.just(component.name)

    return st.sampled_from(list(REGISTRIES[kind])).flatmap(written)


def _valid_values(part: dict[str, Any], whole: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in part:
        part = whole["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in part:
        return st.one_of([_valid_values(member, whole) for member in part["anyOf"]])
    if "const" in part or "enum" in part:
        return st.sampled_from(part.get("enum", [part.get("const")]))
    match part.get("type"):
        case "integer":
            return st.integers(part.get("minimum"), part.get("maximum"))
        case "number":
            return st.floats(
                part.get("minimum", part.get("exclusiveMinimum")),
                part.get("maximum", part.get("exclusiveMaximum")),
                exclude_min="exclusiveMinimum" in part,
                exclude_max="exclusiveMaximum" in part,
                allow_nan=False,
                allow_infinity=False,
            )
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            least, most = part.get("minItems", 0), part.get("maxItems", 3)
            return st.lists(_valid_values(part["items"], whole), min_size=least, max_size=most)
        case "object" if "properties" in part:
            inner = {key: _valid_values(part, whole) for key, part in part["properties"].items()}
            required = {key: inner.pop(key) for key in part.get("required", [])}
            return st.fixed_dictionaries(required, optional=inner)
        case "object":
            inner = _valid_values(part["additionalProperties"], whole)
            return st.dictionaries(TEXT, inner, max_size=3)
    return TEXT


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from(["mlp", "relu", "sgd", "mse", "csv", "all", "auto", "1e-3"])
)
KEYS = st.text(max_size=5) | st.sampled_from(["name", "source", "lr", "widths", "choice", "int"])
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    return [at, *(path for key, inner in inside for path in _places(inner, (*at, key)))]


@st.composite
def mutated_configs(
    draw: st.DrawFn, right: st.SearchStrategy[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A right config with up to three changes for the worse: another value, a key less or more."""
    value = copy.deepcopy(draw(valid_configs() if right is None else right))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(_places(value)[1:] or [("x",)]))
        holder = value
        for key in way:
            holder = holder[key]
        match draw(st.sampled_from(["change", "drop", "add"])):
            case "change":
                holder[last] = draw(JUNK)
            case "drop" if isinstance(holder, dict):
                holder.pop(last, None)
            case _ if isinstance(holder, dict):
                holder[draw(KEYS)] = draw(JUNK)
    return value
