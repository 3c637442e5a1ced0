"""Running text in stretches, for networks that predict every token of one at once.

A network that looks back alone (autoregressive) answers at each position with the token that
comes next, so one pass over a stretch of T tokens trains T predictions, where `Contexts` takes a
pass for each. What is predicted is the same: every token of a part once, and none of another's.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nnarch.data.batch import NOTHING, Batch
from nnarch.data.batches import Contexts, Indexed


@dataclass(frozen=True)
class Passages(Indexed):
    """Stretches of documents: inputs (P, T) are tokens, targets (P, T) the token after each.

    The first token of a document is told from padding; a later stretch begins with the token
    before it. A short one is padded on the right, where the target is `NOTHING`.

    Attributes:
        each: the tokens to be predicted, one by one; their places ascend.
        cuts: (P + 1,) stretch p predicts `each.places[cuts[p]:cuts[p + 1]]`, which are neighbours
            in one document and at most `each.context`.
    """

    each: Contexts
    cuts: Tensor

    @classmethod
    def of(cls, each: Contexts) -> "Passages":
        """The fewest stretches that hold all of these tokens."""
        places, document = each.places, each.begins[each.places]
        order = torch.arange(len(places))
        goes_on = torch.zeros(len(places), dtype=torch.bool)
        goes_on[1:] = (places.diff() == 1) & (document.diff() == 0)
        run = order.masked_fill(goes_on, 0).cummax(0).values
        starts = ((order - run) % each.context == 0).nonzero().flatten()
        return cls(each, torch.cat([starts, torch.tensor([len(places)])]))

    def __len__(self) -> int:
        return len(self.cuts) - 1

    @property
    def device(self) -> torch.device:
        return self.cuts.device

    def first(self, count: int) -> "Passages":
        return replace(self, cuts=self.cuts[: count + 1])

    def to(self, device: torch.device, dtype: torch.dtype) -> "Passages":
        return Passages(self.each.to(device, dtype), self.cuts.to(device))

    def taken(self, chosen: Tensor | slice) -> Batch:
        ids, last = self.each.ids, len(self.each.ids) - 1
        start = self.cuts[:-1][chosen]
        length = (self.cuts[1:][chosen] - start).unsqueeze(1)
        begin = self.each.places[start].unsqueeze(1)
        steps = torch.arange(self.each.context, device=ids.device)
        places, beyond = begin + steps, steps >= length
        outside = beyond | (places <= self.each.begins[begin])
        seen = ids[(places - 1).clamp(0, last)].masked_fill(outside, self.each.padding)
        return Batch(seen, ids[places.clamp(max=last)].masked_fill(beyond, NOTHING))
