"""Seeds: each use of chance has its own, and the same one for ever."""

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch.seeds import derive

USES = st.tuples(st.sampled_from(["batches", "epoch", "init"]), st.integers(0, 10_000))


def test_a_seed_is_the_same_in_every_process_and_release():
    """A run is resumed from seeds that are computed anew, so these numbers may never change."""
    assert derive(0, "batches", 1) == 5609146539946556245
    assert derive(0, "epoch", 1) == 123735704575244949
    assert derive(2**63 - 1, "epoch", 1000) == 6475257960503279671


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), st.sets(USES, min_size=2, max_size=20))
def test_each_use_has_its_own_seed(seed: int, uses: set[tuple[str, int]]):
    derived = {derive(seed, *use) for use in uses}
    assert len(derived) == len(uses)
    assert derived.isdisjoint(derive(seed + 1, *use) for use in uses)


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), USES)
def test_torch_takes_every_seed(seed: int, use: tuple[str, int]):
    derived = derive(seed, *use)
    assert torch.Generator().manual_seed(derived).initial_seed() == derived


def test_neighbouring_epochs_have_unrelated_seeds():
    seeds = [derive(0, "epoch", epoch) for epoch in range(1000)]
    bits = [(one ^ other).bit_count() for one, other in pairwise(seeds)]
    assert 30 < sum(bits) / len(bits) < 33  # of 63 bits about half change
