"""What a search would do, without training: the size of its space, and some of its points.

The points are made by the sampler, and their networks by the same lines that train them, so that
what a preview lets pass is what a search would train, and what it refuses a search would refuse.
"""

from collections.abc import Iterator, Sequence

from nnarch import causes, experiment
from nnarch.errors import NnarchError
from nnarch.models.network import Size
from nnarch.pages.searchpage import choices
from nnarch.printable import printable
from nnarch.searching.exploring import Exploring
from nnarch.searching.opening import sentences
from nnarch.searching.proposals import Planned, Proposals
from nnarch.searching.trialtraining import data_key
from nnarch.space.domains import Choice, Float
from nnarch.space.variable import Variable
from nnarch.trial import Trial, text_of

SAMPLES = 20  # points that are made
SHOWN = 5


def as_text(exploring: Exploring) -> str:
    """The space, samples, and what was refused of them."""
    explored = exploring.exploration
    planned, refused = Proposals(explored, exploring.datasets).ask(min(SAMPLES, explored.trials))
    firsts = {each.trial.number: each for each in reversed(planned)}
    reasons, samples = [trial.reason or "" for trial in refused], []
    for _, each in sorted(firsts.items()):
        try:
            samples.append((each.trial, _size(exploring, each)))
        except NnarchError as error:
            reasons.append(error.lines[0])
    lines = [*sentences(exploring), "", *map(_variable, explored.space.variables), ""]
    lines += [*_shown(samples[:SHOWN]), *_refusals(len(samples) + len(reasons), reasons)]
    return "\n".join(map(printable, lines))


def _variable(variable: Variable) -> str:
    domain = variable.domain
    if isinstance(domain, Choice):
        told = ", ".join(text_of(variable.shown(place)) for place in range(len(domain.options)))
        return f"{variable.key}: {told}"
    scale = ", on a log scale" if domain.log else ""
    kind = "numbers" if isinstance(domain, Float) else "integers"
    return f"{variable.key}: {kind} from {domain.low:g} to {domain.high:g}{scale}"


def _size(exploring: Exploring, planned: Planned) -> Size:
    dataset = exploring.datasets[data_key(planned.config)]
    return experiment.begin(planned.config, dataset, exploring.device).size


def _shown(samples: Sequence[tuple[Trial, Size]]) -> Iterator[str]:
    """Some points, the sizes of their networks one below the other."""
    if not samples:
        return
    yield "points that it would begin with:"
    sizes = [(f"{size.parameters:,}", f"{size.flops:,}") for _, size in samples]
    widths = [max(map(len, column)) for column in zip(*sizes, strict=True)]
    for (trial, _), (parameters, flops) in zip(samples, sizes, strict=True):
        told = f"{parameters:>{widths[0]}} parameters, {flops:>{widths[1]}} FLOPs"
        yield "  ".join([told, *choices(trial.shown)])
    yield ""


def _refusals(drawn: int, reasons: Sequence[str]) -> Iterator[str]:
    yield f"of {drawn:,} points drawn, {len(reasons):,} would be refused"
    for reason, times in causes.counted(reasons)[:SHOWN]:
        yield f"{times:,} refused: {reason}"
