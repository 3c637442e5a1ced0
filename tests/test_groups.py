"""Groups of parameters and frozen ones: who is meant, and what becomes of them in training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nnarch
import outcome
from nnarch import config as configs
from nnarch import experiment, opening
from nnarch.errors import ConfigError
from nnarch.experiment import Experiment
from nnarch.freezing import freeze, set_to_train
from nnarch.models.embedding import ColumnEmbedding
from nnarch.optim.groups import assigned, chosen, in_groups, kinds_of
from nnarch.registry import optimizers

SMALL = {"source": "synthetic", "rows": 300, "features": 4}
BASE: dict[str, Any] = {"data": SMALL, "model": {"widths": [8]}, "epochs": 2, "threads": 1}
PATTERNS = "biases, norms, embeddings, or a pattern over names such as 0.weight, 0.bias, 2.weight"


def prepared(**changes: Any) -> Experiment:
    return experiment.prepare(configs.load({**BASE, **changes}))


def trained(**changes: Any) -> Experiment:
    ready = prepared(**changes)
    outcome.trained(ready)
    return ready


def state(ready: Experiment) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in ready.training.network.state_dict().items()}


class LayerNorm2d(nn.Module):
    """Called as those of other libraries are."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))


class Quiet(nn.LayerNorm):
    """A normalization by descent alone."""


def test_what_a_parameter_is_for() -> None:
    network = nn.ModuleDict(
        {
            "columns": ColumnEmbedding([3, 4]),
            "tokens": nn.Embedding(5, 4),
            "attention": nn.MultiheadAttention(4, 2),
            "recurrent": nn.GRU(4, 4),
            "norm": nn.BatchNorm1d(4),
            "other": LayerNorm2d(),
            "quiet": Quiet(4),
            "head": nn.Linear(4, 5),
        }
    )
    network["head"].weight = network["tokens"].weight  # one parameter, in two places
    kinds = {name: " ".join(sorted(words)) for name, words in kinds_of(network).items()}
    assert kinds == {
        "columns.tables.0.weight": "embeddings",
        "columns.tables.1.weight": "embeddings",
        "tokens.weight": "embeddings",
        "attention.in_proj_weight": "",
        "attention.in_proj_bias": "biases",
        "attention.out_proj.weight": "",
        "attention.out_proj.bias": "biases",
        "recurrent.weight_ih_l0": "",
        "recurrent.weight_hh_l0": "",
        "recurrent.bias_ih_l0": "biases",
        "recurrent.bias_hh_l0": "biases",
        "norm.weight": "norms",
        "norm.bias": "biases norms",
        "other.scale": "norms",
        "quiet.weight": "norms",
        "quiet.bias": "biases norms",
        "head.bias": "biases",
    }


def test_a_pattern_goes_over_dots_and_a_word_beside_another_may_mean_nothing() -> None:
    kinds = {"body.0.weight": set(), "body.0.bias": {"biases"}, "head.weight": set()}
    assert chosen(kinds, ["body.*"], "x") == {"body.0.weight", "body.0.bias"}
    assert chosen(kinds, ["*.weight"], "x") == {"body.0.weight", "head.weight"}
    assert chosen(kinds, ["biases", "norms"], "x") == {"body.0.bias"}
    with pytest.raises(ConfigError, match=r"^x: 'norms' matches no parameter"):
        chosen(kinds, ["norms"], "x")
    with pytest.raises(ConfigError, match=r"^x\[1\]: 'tail' matches no parameter"):
        chosen(kinds, ["biases", "tail"], "x")


def test_a_parameter_is_in_the_first_group_that_matches_it() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    groups = [{"match": "biases"}, {"match": ["0.*", "1.bias"]}]
    assert assigned(network, groups) == [["0.bias", "1.bias"], ["0.weight"]]
    groups = [{"match": "0.*"}, {"match": "0.bias"}]
    with pytest.raises(ConfigError, match=r"groups\[1\].match: all that it matches is in groups"):
        assigned(network, groups)


@pytest.mark.parametrize("name", [one for one in optimizers.names() if one != "lbfgs"])
def test_a_run_with_groups_follows_the_schedule_from_each_rate(name: str) -> None:
    """Two groups of the rate and decay that all have anyway change nothing."""
    options: dict[str, Any] = {"name": name, "lr": 0.01}
    own: dict[str, Any] = {"match": "biases", "lr": 0.01}
    if "weight_decay" in optimizers.get(name).schema.model_fields:
        options["weight_decay"] = own["weight_decay"] = 0.1
    schedule = {"name": "step", "every": 1, "gamma": 0.5}
    plain = state(trained(optimizer=options, schedule=schedule))
    ready = trained(optimizer={**options, "groups": [own]}, schedule=schedule)
    for key, value in state(ready).items():
        torch.testing.assert_close(value, plain[key], rtol=1e-5, atol=1e-7)
    assert {group["lr"] for group in ready.training.optimizer.param_groups} == {0.005}
    other = trained(optimizer={**options, "groups": [{**own, "lr": 0.02}]}, schedule=schedule)
    assert {group["lr"] for group in other.training.optimizer.param_groups} == {0.005, 0.01}
    assert not torch.equal(state(other)["0.bias"], plain["0.bias"])


def test_groups_are_those_of_a_loop_in_torch() -> None:
    groups = [{"match": "biases", "weight_decay": 0.0}, {"match": "2.*", "lr": 0.1}]
    ready = prepared(optimizer={"name": "adamw", "lr": 0.02, "groups": groups}, batch_size="all")
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    network.load_state_dict(ready.training.network.state_dict())
    first, _, last = network
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    optimizer = torch.optim.AdamW(
        [
            {"params": [first.weight]},
            {"params": [first.bias, last.bias], "weight_decay": 0.0},
            {"params": [last.weight], "lr": 0.1},
        ],
        lr=0.02,
    )
    rows = next(iter(ready.rows["train"].in_order(240)))
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.mse_loss(network(rows.inputs), rows.target).backward()
        optimizer.step()
    ours = state(
        trained(optimizer={"name": "adamw", "lr": 0.02, "groups": groups}, batch_size="all")
    )
    for name, value in network.state_dict().items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6)


def test_an_optimizer_of_torch_takes_the_groups_as_they_are() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    freeze(network, ["1.bias"])
    groups = [{"match": "norms", "lr": 0.5, "weight_decay": None}, {"match": "1.bias"}]
    with pytest.raises(ConfigError, match=r"all that it matches is in groups before it: 1\.bias"):
        in_groups(network, groups)
    optimizer = torch.optim.SGD(in_groups(network, groups[:1]), lr=0.1, weight_decay=0.2)
    made = [
        (group["lr"], group["weight_decay"], group["params"]) for group in optimizer.param_groups
    ]
    assert [(lr, decay) for lr, decay, _ in made] == [(0.1, 0.2), (0.5, 0.2)]
    assert [len(params) for *_, params in made] == [2, 1]
    assert made[1][2][0] is network[1].weight
    assert in_groups(network, []) == [network[0].weight, network[0].bias, network[1].weight]


def test_groups_are_told_and_read_back(tmp_path: Path) -> None:
    groups = [{"match": ["biases", "norms"], "weight_decay": 0.0}, {"match": "2.*", "lr": 1e-4}]
    ready = prepared(optimizer={"name": "adamw", "groups": groups}, freeze=["2.bias"])
    assert opening.sentences(ready)[2:] == [
        "mlp with 49 parameters of which 48 train, adamw with lr 0.001, on cpu, 1 thread",
        "weight_decay 0 for 0.bias, 2.bias",
        "lr 0.0001 for 2.weight",
    ]
    (tmp_path / "complete.yaml").write_text(ready.config.to_yaml())
    again = configs.load(tmp_path / "complete.yaml")
    assert again.optimizer == ready.config.optimizer
    assert again.freeze == ["2.bias"]


def test_groups_stay_where_another_optimizer_is_named() -> None:
    groups = [{"match": "biases", "lr": 0.1, "weight_decay": None}]
    given = {**BASE, "optimizer": {"name": "sgd", "momentum": 0.5, "groups": groups}}
    config = configs.load(given, ["optimizer.name=adam"])
    assert config.optimizer["groups"] == groups
    assert "momentum" not in config.optimizer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            "optimizer: {groups: [{match: biases}, {match: [biases, norm], lr: 0.1}]}",
            "optimizer.groups[1].match[1]: 'norm' matches no parameter; expected " + PATTERNS,
        ),
        (
            "optimizer: {name: rprop, groups: [{match: biases, weight_decay: 0}]}",
            "optimizer.groups[0].weight_decay: rprop has no weight_decay",
        ),
        (
            "optimizer: {name: lbfgs, groups: [{match: biases, lr: 0.1}]}",
            "optimizer.groups: lbfgs computes its own gradients, of the whole network; expected",
        ),
        (
            "optimizer: {groups: [{lr: 0.1}]}",
            "optimizer.groups[0].match: missing; expected biases, norms, embeddings, a pattern",
        ),
        ("optimizer: {groups: [{match: biases, lr: 0}]}", "optimizer.groups[0].lr: got 0; "),
        ("optimizer: {groups: 3}", "optimizer.groups: got 3; expected a list, each {match: "),
        ("freeze: ['*']", "freeze: got ['*'], which leaves nothing to train"),
        ("freeze: [biases, x.*]", "freeze[1]: 'x.*' matches no parameter; expected " + PATTERNS),
        ("freeze: [norms]", "freeze: 'norms' matches no parameter"),
        ("freeze: biases", "freeze: got 'biases'; expected a list"),
    ],
)
def test_what_fits_no_parameter_has_its_place(changes: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"data: {{source: synthetic, rows: 60}}\nmodel: {{widths: [4]}}\n{changes}\n")
    with pytest.raises(ConfigError) as caught:
        experiment.prepare(configs.load(path))
    assert caught.value.lines[0].startswith(f"{path}:3: {message}")


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon", "lbfgs"])
def test_what_is_frozen_never_changes(name: str) -> None:
    changes: dict[str, Any] = {"optimizer": name, "batch_size": "all"}
    if name != "lbfgs":
        changes["optimizer"] = {"name": name, "weight_decay": 0.5}
        changes["average"] = {"decay": 0.5}
    before = state(prepared(**changes))
    ready = trained(**changes, freeze=["0.*"])
    for values in (state(ready), ready.training.model.state_dict()):
        moved = {key for key, value in values.items() if not torch.equal(value, before[key])}
        assert moved == {"2.weight", "2.bias"}


def test_a_frozen_normalization_keeps_its_statistics() -> None:
    model = {"widths": [8, 8], "normalization": "batch"}
    before, after = state(prepared(model=model)), state(trained(model=model, freeze=["1.*"]))
    assert all(torch.equal(after[f"1.{key}"], before[f"1.{key}"]) for key in ("weight", "bias"))
    assert torch.equal(after["1.running_mean"], before["1.running_mean"])
    assert after["1.num_batches_tracked"] == 0
    assert not torch.equal(after["4.running_mean"], before["4.running_mean"])
    half = state(trained(model=model, freeze=["1.bias"]))
    assert not torch.equal(half["1.running_mean"], before["1.running_mean"])


def test_only_frozen_normalizations_are_left_out_of_training_mode() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(), nn.BatchNorm1d(2))
    freeze(network, ["0.*", "1.*"])
    set_to_train(network.eval())
    assert [layer.training for layer in network] == [True, False, True, True]


def test_a_run_with_frozen_parameters_opens_again(tmp_path: Path) -> None:
    run = nnarch.train({**BASE, "freeze": ["0.*"]}, runs_dir=tmp_path)
    measured = nnarch.evaluate(run)
    assert measured["loss"] == pytest.approx(run.about["results"]["test"]["loss"])
