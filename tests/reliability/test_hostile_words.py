"""Words of a config that a stranger would have run, imported or grown without bound.

A word is looked up in the registry or among torch.nn's layers, and is nothing else: what looks
like the place of a module, an attribute of one, or a part of a command is a name that nothing has.
"""

from pathlib import Path

import pytest

from hostile import Refused, program

DATA = "data: {source: synthetic, rows: 60, features: 3}\n"


def layers(*items: str) -> str:
    return f"{DATA}model: {{layers: [{', '.join(items)}, Flatten, {{Linear: out}}]}}\n"


IMPORTS = {
    "a model by its place": f"{DATA}model: {{name: os.system}}\n",
    "a model of torch": f"{DATA}model: torch.hub.load\n",
    "a model by a colon": f"{DATA}model: 'subprocess:run'\n",
    "a model of dunders": f"{DATA}model: {{name: __import__}}\n",
    "a loss by its place": f"{DATA}loss: torch.nn.Module\n",
    "an optimizer by its place": f"{DATA}optimizer: {{name: torch.optim.SGD}}\n",
    "a schedule by its place": f"{DATA}schedule: builtins.eval\n",
    "a metric by its place": f"{DATA}metrics: [posix.system]\n",
    "an augmentation by its place": f"{DATA}augment: [shutil.rmtree]\n",
    "a source by its place": "data: {source: pickle.load}\n",
    "an activation by its place": f"{DATA}model: {{activation: {{name: os.system}}}}\n",
    "an initialization by its place": f"{DATA}model: {{initialization: builtins.exec}}\n",
    "a data set of sklearn by its name": "data: {source: sklearn, dataset: ../../iris}\n",
    "a target of Hydra": f"{DATA}model: {{_target_: os.system}}\n",
    "a class path of jsonargparse": f"{DATA}model: {{class_path: os.system}}\n",
    "a layer by its place": layers("{os.system: id}"),
    "a layer of torch by its place": layers("{torch.nn.Module: {}}"),
    "a layer of dunders": layers("__class__"),
    "a layer of a class's attribute": layers("{Linear.__init__: 3}"),
    "the root of all layers": layers("Module"),
    "a layer that holds others": layers("{Sequential: []}"),
    "a layer that is a module of Python": layers("functional"),
    "a layer that is a function": layers("{factory_kwargs: 3}"),
    "a layer that waits for shapes": layers("{LazyLinear: 4}"),
    "a layer that copies itself": layers("{DataParallel: 4}"),
    "a parameter for a layer": layers("{Parameter: 3}"),
    "a private argument": layers("{Embedding: {num_embeddings: 4, _weight: x}}"),
    "a device for a layer": layers("{Linear: {out_features: 3, device: cuda}}"),
    "a function by name": layers("{GELU: os.system}"),
    "plugins in the config": f"{DATA}plugins: [evil.py]\n",
    "a tag of Python": f"{DATA}model: !!python/object/apply:os.system [id]\n",
    "a tag of Python's names": f"{DATA}name: !!python/name:os.system\n",
    "an interpolation": f"{DATA}name: '${{oc.env:HOME}}'\n",
    "a template": f"{DATA}name: '{{{{ cycler.__init__.__globals__ }}}}'\n",
    "a format": f"{DATA}name: '{{0.__class__}}'\n",
    "a percent sign": f"{DATA}name: '%s%n'\n",
    "a command": f"{DATA}name: '$(touch canary)'\n",
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS)
def test_a_name_is_looked_up_and_nothing_else(
    refused: Refused, here: Path, canary: Path, text: str
) -> None:
    (here / "evil.py").write_text(program(canary))
    (here / "bad.yaml").write_text(text)
    assert "bad.yaml:" in refused("train", "bad.yaml", code=3)


TYPED = {
    "a model": ["train", "good.yaml", "model=os.system"],
    "a tag": ["train", "good.yaml", "model=!!python/object/apply:os.system [id]"],
    "a key of dunders": ["train", "good.yaml", "model.__class__.__init__=1"],
    "a key of config": ["train", "good.yaml", "_tree=1"],
    "a layer to check": ["check", "good.yaml", "model={layers: [os.system]}"],
}


@pytest.mark.parametrize("words", TYPED.values(), ids=TYPED)
def test_nor_is_what_is_typed(refused: Refused, here: Path, words: list[str]) -> None:
    (here / "good.yaml").write_text(DATA)
    refused(*words, code=3)


ASKED = {
    "a kind by its place": ["components", "os.path"],
    "a component by its place": ["components", "model", "os.system"],
    "a component of dunders": ["components", "layer", "__class__"],
}


@pytest.mark.parametrize("words", ASKED.values(), ids=ASKED)
def test_nor_is_what_is_asked_for(refused: Refused, words: list[str]) -> None:
    refused(*words, code=2)


def over(base: str, key: str, value: str) -> str:
    return f"data: {{{base}}}\nmodel: {{{key}: {value}}}\n"


IMAGES = "source: sklearn, dataset: digits, images: true"
SERIES = "source: waves, steps: 200, lookback: 8"
ROWS = "source: synthetic, rows: 60, features: 4"
HUGE = 1_000_000_000
GROWN: dict[str, tuple[str, int]] = {
    "a layer of 10^12": (f"{DATA}model: {{widths: [1000000000000]}}\n", 3),
    "layers of 10^18 parameters": (f"{DATA}model: {{widths: [{HUGE}, {HUGE}]}}\n", 3),
    "10^15 rows": ("data: {source: synthetic, rows: 1000000000000000}\n", 3),
    "10^9 rows": (f"data: {{source: synthetic, rows: {HUGE}}}\n", 7),
    "10^9 features": (f"data: {{source: synthetic, features: {HUGE}, rows: 10}}\n", 7),
    "10^9 steps": (f"data: {{source: waves, steps: {HUGE}}}\n", 7),
    "10^9 channels": (f"data: {{source: waves, channels: {HUGE}}}\n", 7),
    "10^9 waves": (f"data: {{source: waves, waves: {HUGE}}}\n", 3),
    "a lookback of 10^9": (f"data: {{source: waves, lookback: {HUGE}}}\n", 4),
    "a horizon of 10^9": (f"data: {{source: waves, horizon: {HUGE}}}\n", 4),
    "10^9 folds": (f"data: {{source: synthetic, split: {{folds: {HUGE}}}}}\n", 3),
    "10^9 repetitions": (layers(f"{{repeat: {HUGE}, do: [relu]}}"), 3),
    "repetitions of repetitions": (
        layers("{repeat: 5000, do: [{repeat: 5000, do: [relu]}]}"),
        3,
    ),
    "a number of 5,000 digits": (f"{DATA}epochs: {'9' * 5000}\n", 3),
    "10^5 widths": (f"{DATA}model: {{widths: [{'1,' * 100_000}1]}}\n", 3),
    "a recurrent layer of 10^9": (
        layers("{Unflatten: [1, [3, 1]]}", f"{{LSTM: {{hidden_size: 1, num_layers: {HUGE}}}}}"),
        3,
    ),
    "a layer beyond counting": (layers("{Linear: 1000000000000000000}"), 3),
    "a padding of 10^14": (
        layers("{Unflatten: [1, [1, 3]]}", "{ConstantPad1d: [99999999999999, 0.0]}"),
        3,
    ),
    "a pooling to 10^12": (
        layers("{Unflatten: [1, [1, 3]]}", "{AdaptiveAvgPool1d: 1000000000000}"),
        3,
    ),
    "10^9 heads": (layers("{Unflatten: [1, [3, 1]]}", f"{{MultiheadAttention: {HUGE}}}"), 3),
    "10^9 stages": (over(IMAGES, "name: resnet, stages", f"[{HUGE}]"), 3),
    "10^4 stages": (over(IMAGES, "name: resnet, stages", f"[{'1000,' * 10_000}1]"), 3),
    **{
        f"a {name} of 10^9 blocks": (over(base, f"name: {name}, depth", str(HUGE)), 3)
        for name, base in {
            "ft_transformer": ROWS,
            "mixer": IMAGES,
            "resnet_mlp": ROWS,
            "rnn": SERIES,
            "tcn": SERIES,
            "transformer": SERIES,
            "vit": IMAGES,
        }.items()
    },
    "as many blocks as may be": (over(ROWS, "name: resnet_mlp, depth", "1000"), 3),
}


@pytest.mark.parametrize(("text", "code"), GROWN.values(), ids=GROWN)
def test_what_would_grow_without_bound_is_refused_small(
    refused: Refused, here: Path, text: str, code: int
) -> None:
    (here / "bad.yaml").write_text(text)
    refused("check", "bad.yaml", code=code)
