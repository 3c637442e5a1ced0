"""A trial is the same after it was written down, and a line that is none is refused."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch.trial import Trial, identity

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
).filter(lambda value: "inf" not in repr(value))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TRIALS = st.builds(
    Trial,
    id=st.text(),
    number=st.integers(0),
    seed=st.integers(0),
    point=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    shown=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    config=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    status=st.sampled_from(["finished", "pruned", "failed", "refused"]),
    reason=st.none() | st.text(),
    figures=st.dictionaries(st.text(max_size=5), NUMBERS, max_size=3),
    history=st.dictionaries(st.text(max_size=5), st.lists(NUMBERS, max_size=3), max_size=2),
    parameters=st.none() | st.integers(0),
    latency=st.none() | NUMBERS,
)


def trial(**changes: Any) -> Trial:
    return Trial(**{"id": "a", "number": 0, "seed": 0, "point": {}, "shown": {}, "config": {},
                    "status": "finished", **changes})  # fmt: skip


@settings(max_examples=40)
@given(TRIALS)
def test_a_trial_comes_back_from_its_line(one: Trial) -> None:
    line = one.to_json()
    assert "\n" not in line
    assert Trial.from_json(line) == one


def test_a_figure_that_is_not_finite_is_null_and_no_objective() -> None:
    diverged = trial(
        figures={"val_loss": math.nan, "val_r2": -math.inf, "train_loss": 0.5},
        history={"val_loss": [1.0, math.inf]},
    )
    line = diverged.to_json()
    assert json.loads(line)["figures"] == {"val_loss": None, "val_r2": None, "train_loss": 0.5}
    back = Trial.from_json(line)
    for one in (diverged, back):
        assert one.objective("val_loss") is None
        assert one.objective("val_r2") is None
        assert one.objective("train_loss") == 0.5
    assert back.history["val_loss"][0] == 1.0
    assert math.isnan(back.history["val_loss"][1])


def test_objectives_are_figures_and_costs() -> None:
    one = trial(figures={"val_loss": 0.5, "flops": 3.0}, parameters=7, latency=1e-3)
    assert [one.objective(name) for name in ("val_loss", "parameters", "latency")] == [0.5, 7, 1e-3]
    assert one.objective("flops") is None
    assert one.objective("val_f1") is None


WRONG = {
    "not json": "{",
    "a list": "[]",
    "nothing": "{}",
    "no bytes of text": b"\xff\xfe{",
    "a part unknown": '{"colour": 1}',
    "number": '{"number": "1"}',
    "truth value for a number": '{"number": true}',
    "status": '{"status": "running"}',
    "shown": '{"shown": []}',
    "figures": '{"figures": {"val_loss": "low"}}',
    "figures of lists": '{"figures": {"val_loss": [1]}}',
    "history": '{"history": {"val_loss": 1}}',
    "history of text": '{"history": {"val_loss": [1, "x"]}}',
    "parameters": '{"parameters": {}}',
    "nested beyond reason": '{"config": ' + "[" * 100_000,
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG)
def test_what_is_no_trial_is_refused(said: str | bytes) -> None:
    if isinstance(said, str) and said.startswith('{"'):
        said = trial().to_json()[:-1] + ", " + said[1:]  # of two equal keys the last one counts
    with pytest.raises((ValueError, TypeError, RecursionError)):
        Trial.from_json(said)


@settings(max_examples=30)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_equal_configs_have_one_identity(config: dict[str, Any]) -> None:
    turned = dict(reversed(config.items()))
    assert identity(turned) == identity(config)
    assert identity({**config, "another key": 1}) != identity(config)


def test_a_config_with_any_file_name_has_an_identity() -> None:
    assert identity({"path": "\udce9.csv"}) != identity({"path": "é.csv"})
