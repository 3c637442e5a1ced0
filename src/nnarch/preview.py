"""What a search would do, without training: the size of its space, and some of its points.

The points are made by the sampler and checked by the same lines that train them, so that what a
preview lets pass is what a search would train, and what it refuses a search would refuse.
"""

from collections.abc import Iterator

from nnarch.domains import Choice, Float
from nnarch.exploring import Exploring, sentences
from nnarch.printable import printable
from nnarch.proposals import Planned, Proposals, quantities
from nnarch.space import Variable
from nnarch.trial import Trial
from nnarch.trialtraining import data_key

SAMPLES = 20  # points that are made
SHOWN = 5


def as_text(exploring: Exploring) -> str:
    """The space, samples, and what was refused of them."""
    explored = exploring.exploration
    planned, refused = Proposals(explored, exploring.datasets).ask(min(SAMPLES, explored.trials))
    firsts = list({each.trial.number: each for each in reversed(planned)}.values())[::-1]
    lines = [*sentences(exploring), "", *map(_variable, explored.space.variables), ""]
    lines += [line for each in firsts[:SHOWN] for line in _sample(exploring, each)]
    tried = len(firsts) + len(refused)
    lines += ["", f"of {tried} points tried, {len(refused)} would be refused"]
    return "\n".join(map(printable, [*lines, *_causes(refused)]))


def _variable(variable: Variable) -> str:
    domain = variable.domain
    if isinstance(domain, Choice):
        told = ", ".join(str(variable.shown(place)) for place in range(len(domain.options)))
        return f"{variable.key}: {told}"
    scale = ", on a log scale" if domain.log else ""
    kind = "numbers" if isinstance(domain, Float) else "integers"
    return f"{variable.key}: {kind} from {domain.low:g} to {domain.high:g}{scale}"


def _sample(exploring: Exploring, planned: Planned) -> Iterator[str]:
    config = planned.config
    had = quantities(config, exploring.datasets[data_key(config)])
    told = ", ".join(f"{key} {_shown(value)}" for key, value in planned.trial.shown.items())
    yield f"{told}: {had['params']:,.0f} parameters, {had['flops']:,.0f} FLOPs"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _causes(refused: list[Trial]) -> list[str]:
    return [f"refused: {trial.reason}" for trial in refused[:SHOWN]]
