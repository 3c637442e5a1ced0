"""Recurrent networks: a series or a text read step by step, with a memory of what came before."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nnarch.models.families.sequences import vectors
from nnarch.models.layers import Layer, Layers
from nnarch.models.layers import dropout as left_out
from nnarch.options import WHOLE, Count, Fraction, Initialization
from nnarch.registry import models

Depth = Annotated[int, Field(ge=1, le=100), WHOLE]  # each goes through all steps by itself
CELLS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


@models.register(codes=True)
def rnn(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    cell: Literal["lstm", "gru", "rnn"] = "lstm",
    width: Count = 64,
    depth: Depth = 1,
    bidirectional: bool = False,
    dropout: Fraction = 0.0,
    embedding: Count = 64,
    pooling: Literal["last", "mean", "maximum"] = "last",
    initialization: Initialization = "default",
) -> Layers:
    """Recurrent network for series and texts: LSTM, GRU or plain (Hochreiter & Schmidhuber, 1997).

    Options:
        cell: What a step is read by: lstm and gru (Cho et al., 2014) learn what to forget.
        width: Units of each layer, and of each direction.
        depth: Layers, each of which reads what the one before put out.
        bidirectional: Whether every layer reads from both ends.
        dropout: Share of each layer's outputs that a training step leaves out.
        embedding: Numbers for each token of a text.
        pooling: What the answer is made of: the last output (of both directions), or the mean or
            the maximum over all steps, which suits texts of many lengths.
        initialization: How the weights begin; default is torch's own.
    """
    assert isinstance(initialization, Mapping), "a filled component"
    options: dict[str, Any] = {"hidden_size": width}
    options |= {"num_layers": depth} if depth > 1 else {}
    options |= {"bidirectional": True} if bidirectional else {}
    options |= {"dropout": dropout} if dropout and depth > 1 else {}  # torch: between layers
    last: Layer = "ends" if bidirectional else {"pick": -1}
    items: list[Layer] = [
        *vectors("rnn", inputs, embedding),
        {CELLS[cell]: options},
        last if pooling == "last" else pooling,
        *left_out(dropout),
        {"Linear": "out"},
    ]
    return Layers(items, initialization)
