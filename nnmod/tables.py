"""Connection tables for SpatialConvolutionMap: which output plane sees which input planes.

A table is an int64 tensor (connections, 2): a row is an input plane and an output plane,
both counted from 0.
"""
import numpy as np

from . import check, random as generator


def full(nin, nout):
    """Every output plane sees every input plane.

    >>> full(2, 2).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    check.positive(nin=nin, nout=nout)
    return np.stack([np.tile(np.arange(nin), nout), np.repeat(np.arange(nout), nin)], axis=1)


def oneToOne(nfeat):
    """Output plane i sees input plane i.

    >>> oneToOne(3).tolist()
    [[0, 0], [1, 1], [2, 2]]
    """
    check.positive(nfeat=nfeat)
    return np.stack([np.arange(nfeat)] * 2, axis=1)


def random(nin, nout, nto):
    """Every output plane sees *nto* different input planes, which are dealt out like cards.

    The planes are shuffled and handed out *nto* at a time, and shuffled anew when fewer
    are left, so that all are seen about equally often.

    >>> table = random(6, 4, 3)
    >>> table.shape, sorted(table[:6, 0].tolist())
    ((12, 2), [0, 1, 2, 3, 4, 5])
    """
    check.positive(nin=nin, nout=nout, nto=nto)
    if nto > nin:
        raise ValueError(f"nto must be at most nin = {nin}, got {nto}")
    hands = nin // nto
    deals = [generator.permutation(nin)[:hands * nto] for _ in range(-(-nout // hands))]
    return np.stack([np.concatenate(deals)[:nto * nout], np.repeat(np.arange(nout), nto)], axis=1)
