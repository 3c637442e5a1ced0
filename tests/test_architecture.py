"""The picture of the house, held against every file's imports.

Zones stand on one another; a file imports from zones below its own, or from files before it in
its zone. Compute and disk stand side by side and do not know each other. What is heavy is
imported where it is used.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnarch

SOURCE = Path(nnarch.__file__).parent

WORDS = (
    "version", "printable", "garbage", "machine", "errors", "requirements", "lazy", "patterns",
    "seeds", "space", "space.domains", "constraints", "options",
    "sections", "layerlist", "kinds", "component", "registry", "validate",
    "space.forms", "space.variable", "space.counting", "blocknames", "space.template",
    "space.reading", "space.space",
    "tree", "yamlfile", "plainyaml", "places", "given", "wholepaths", "config", "trial",
    "progress", "causes", "exploration",
)  # fmt: skip
BLOCKS = (
    "reshaping", "positions", "attention", "gated", "depth", "series", "causal", "patches",
    "tokens", "numeric", "members",
)  # fmt: skip
FAMILIES = (
    "convolutions", "patched", "sequences", "cnn", "dlinear", "ft_transformer", "gpt", "layers",
    "mixer", "mlp", "nlinear", "resnet", "resnet_mlp", "rnn", "tabm", "tcn", "transformer", "vit",
)  # fmt: skip
COMPUTE = (
    "threads", "devices", "likeness",
    "data.table", "data.array", "data.tokens", "data.task", "data.spool",
    "data.split",
    "data.formats", "data.formats.paths", "data.formats.datafile", "data.formats.panics",
    "data.formats.cells", "data.formats.dates",
    "data.formats.findings", "data.formats.frame", "data.formats.dialect", "data.formats.block",
    "data.formats.textrows", "data.formats.textfile", "data.formats.survey",
    "data.formats.gather",
    "data.formats.pairs", "data.formats.npy", "data.formats.vocabulary",
    "data.formats.pictures", "data.formats.imagefolder", "data.sources.csv",
    "data.sources.parquet", "data.reading", "data.formats.wordcolumn", "data.sources.npz",
    "data.sources.idx", "data.sources.images", "data.sources.text", "data.sources.series",
    "data.sources.waves",
    "data.sources.sklearn", "data.sources.synthetic", "data.sources", "data",
    "data.preprocessing", "data.preprocessing.statistics", "data.preprocessing.scaling",
    "data.preprocessing.conversion", "data.preprocessing.bagofwords", "data.preprocessing.cycles",
    "data.preprocessing.features", "data.preprocessing.encoders",
    "data.preprocessing.tableinputs", "data.preprocessing.textinputs",
    "data.preprocessing.arrayinputs",
    "data.preprocessing.sequenceinputs", "data.preprocessing.target",
    "data.preprocessing.preprocess",
    "data.batch", "data.augmentations", "data.batches", "data.passages", "data.streamed",
    "data.hosted",
    "data.parting", "data.duplicates", "data.identity", "data.inputs", "data.dataset",
    "data.newdata",
    "data.columnreport", "data.leaks", "data.targetreport",
    "models.layers", "models.activations", "models.initializations", "models.embedding",
    "models.blocks.modules", *(f"models.blocks.modules.{name}" for name in BLOCKS),
    *(f"models.blocks.{name}" for name in BLOCKS), "models.blocks.columns", "models.blocks",
    *(f"models.families.{name}" for name in FAMILIES), "models.families",
    "models", "models.torchlayers", "models.metadevice", "models.plan", "models.trial",
    "models.following", "models.structures",
    "models.trace", "models.network", "models.summary", "models.footprint", "models.written",
    "models.drawing",
    "optim.arithmetic", "optim.fused", "optim.rules", "optim.parts", "optim.stepper",
    "optim.from_torch", "optim",
    "optim.statesize", "optim.groups", "freezing",
    "losses", "schedules", "metrics", "linear", "baselines", "evaluation", "gradient",
    "average", "engine.eager", "engine.program", "engine.recording", "engine.recorded",
    "engine.purestep", "engine.captured", "engine", "engine.chance", "engine.compiled",
    "compilation", "training", "stepping", "stacked.outline", "stacked.chance",
    "stacked.activation", "stacked.padded",
    "stacked.mapped", "stacked.update", "stacked.member", "stacked.steps", "stacked.stack",
    "stacked.grouping", "stacked", "predictor", "averaged",
    "prediction", "findings.pareto",
    "samplers.sampler", "samplers.unseen", "samplers.mutation", "samplers.random",
    "samplers.grid", "samplers.quasirandom", "samplers.evolution", "samplers.features",
    "samplers.process", "samplers.gp", "samplers.study", "samplers.tpe", "samplers.nsga2",
    "samplers", "pruners.pruner", "pruners.halving", "pruners.hyperband", "pruners",
    "findings", "findings.ranking", "findings.encoding", "findings.importance",
    "findings.contrasts", "findings.effects",
)  # fmt: skip
DISK = (
    "files", "framefile", "history", "lock", "checkpoint", "checkpoints", "rundir",
    "members", "trials", "leaders", "searchdir", "listing", "listing.runlist",
    "listing.runfilter", "listing.runrow", "listing.runtable", "listing.comparison",
)  # fmt: skip
JOBS = (
    "provenance", "interrupts", "plugins", "folds", "compatibility", "runconfig", "warmstart",
    "experiment", "opening", "snapshot", "keeper", "run", "resumption", "trained", "ensemble",
    "searching", "searching.config", "searching.workers", "searching.limits",
    "searching.underway", "searching.trialtraining", "searching.earlier", "searching.proposals",
    "searching.exploring", "searching.opening", "searching.tasks", "searching.tally",
    "searching.rounds", "searching.pace", "searching.search",
    "recipes", "starter", "check.datapage", "check.datareport", "check.timing",
    "check.networkreport", "check.networkpage", "check", "describe",
)  # fmt: skip
EDGE = (
    "__init__", "console", "tables", "pages", "pages.searchpage", "pages.effectspage",
    "pages.searchsummary", "pages.preview", "ending", "commands",
    "commands.output", "commands.arguments", "commands.init", "commands.check",
    "commands.search", "commands.train", "commands.inference", "commands.compare",
    "commands.components", "cli", "__main__",
)  # fmt: skip
ZONES = {"words": WORDS, "compute": COMPUTE, "disk": DISK, "jobs": JOBS, "edge": EDGE}
BELOW = {
    "words": (),
    "compute": ("words",),
    "disk": ("words",),
    "jobs": ("words", "compute", "disk"),
    "edge": ("words", "compute", "disk", "jobs"),
}
LIBRARIES = {  # beside the standard library, at the top of a file
    "words": {"pydantic", "pydantic_core", "yaml"},
    "compute": {"pydantic", "numpy", "torch"},
    "disk": set(),
    "jobs": {"pydantic", "torch"},
    "edge": {"typer"},
}
INSIDE = {"disk": {"torch", "safetensors", "polars"}, "edge": {"rich"}}  # in functions only
# These hold components.
LIGHT = {"data", "models", "losses", "optim", "schedules", "metrics", "samplers", "pruners"}
HEAVY = {"torch", "numpy", "polars", "sklearn", "safetensors"}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__") or "__init__"
        found[name] = ast.parse(path.read_text())
    return found


MODULES = modules()
ZONE = {name: zone for zone, names in ZONES.items() for name in names}


def imports(tree: ast.AST, top_only: bool = False) -> Iterator[str]:
    """Dotted names that a file imports when it runs; `if TYPE_CHECKING` does not run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from (name for inner in node.orelse for name in imports(inner, top_only))
        elif not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imports(node, top_only)


def own(dotted: str) -> str | None:
    """The file of ours that `nnarch.data.task.Task` comes from."""
    parts = dotted.split(".")
    if parts[0] != "nnarch":
        return None
    while parts[1:] and ".".join(parts[1:]) not in MODULES:
        parts.pop()
    return ".".join(parts[1:]) or "__init__"


def test_every_file_stands_in_the_picture() -> None:
    assert sorted(ZONE) == sorted(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_downwards(name: str) -> None:
    zone = ZONE[name]
    before = ZONES[zone][: ZONES[zone].index(name)]
    for imported in filter(None, map(own, imports(MODULES[name]))):
        if imported == "__init__" and name in ("__main__", "cli"):
            continue  # the version
        allowed = ZONE[imported] in BELOW[zone] or imported in before
        assert allowed, f"{name} ({zone}) imports {imported} ({ZONE[imported]})"


@pytest.mark.parametrize("name", MODULES)
def test_libraries_are_those_of_the_zone(name: str) -> None:
    zone = ZONE[name]
    roots = {dotted.split(".")[0] for dotted in imports(MODULES[name], top_only=True)}
    foreign = roots - set(sys.stdlib_module_names) - {"nnarch"}
    assert foreign <= LIBRARIES[zone]
    inside = {dotted.split(".")[0] for dotted in imports(MODULES[name])} - roots
    ours = set(sys.stdlib_module_names) | {"nnarch"} | LIBRARIES[zone]
    assert inside - ours <= INSIDE.get(zone, set())


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] in LIGHT])
def test_components_are_declared_without_what_is_heavy(name: str) -> None:
    """A config is checked against signatures, which must not wait for torch."""
    if re.search(r"^@\w+\.register\b", ast.unparse(MODULES[name]), re.MULTILINE):
        roots = {dotted.split(".")[0] for dotted in imports(MODULES[name], top_only=True)}
        assert not roots & HEAVY


def test_the_training_loop_touches_no_file_clock_or_terminal() -> None:
    for name in ("training", "evaluation", "losses", "optim", "schedules", "metrics"):
        roots = {dotted.split(".")[0] for dotted in imports(MODULES[name])}
        assert not roots & {"os", "time", "datetime", "pathlib", "sys", "io", "tempfile"}
        calls = {ast.unparse(node.func) for node in ast.walk(MODULES[name])
                 if isinstance(node, ast.Call)}  # fmt: skip
        assert not calls & {"print", "open", "input"}
