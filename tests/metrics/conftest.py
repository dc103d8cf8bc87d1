"""What the tests of the scores share."""

import copy

import pytest


@pytest.fixture
def merged():
    """Merge the states of two processes, as torchmetrics does."""

    def merge(one, two):
        both = copy.deepcopy(one)
        both._reduce_states({name: getattr(two, name) for name in two._defaults})
        both._update_count += 1
        both._computed = None
        return both

    return merge
