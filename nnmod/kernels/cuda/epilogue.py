"""What a product does to its output while that is in the cache: a normalisation, an activation.

The formulas are those of the modules, so that a fused network computes what the plain one does.
"""
from collections import namedtuple

import numpy as np

from .. import formulas
from .compile import device, number, on_device

#: The arguments by which a kernel gets its end.
FINISH = "norm, has_norm, activation, low, high"

_relu, _leaky_relu, _hard_tanh, _tanh, _sigmoid = map(on_device, formulas.ACTIVATIONS[1:])


class End(namedtuple("End", "norm activation low high")):
    """The end of a kernel: norm (3, C) or None, the number of an activation and what that takes."""

    def args(self, like):
        """The values of FINISH; *like*, a flat tensor of the kernel's dtype, stands in for no norm."""
        norm = like if self.norm is None else self.norm.reshape(-1)
        return (norm, np.uint32(self.norm is not None), np.uint32(self.activation), number(self.low, like),
                number(self.high, like))


#: No normalisation, no activation.
NO_END = End(None, 0, 0.0, 0.0)


@device
def finish(v, channel, channels, norm, has_norm, activation, low, high):
    """v, normalised with the numbers of its channel, and activated."""
    if has_norm:
        c, n = np.uint64(channel), np.uint64(channels)
        v = (v - norm[c]) * norm[n + c] + norm[n + n + c]
    if activation == np.uint32(1):
        v = _relu(v)
    elif activation == np.uint32(2):
        v = _leaky_relu(v, low)
    elif activation == np.uint32(3):
        v = _hard_tanh(v, low, high)
    elif activation == np.uint32(4):
        v = _tanh(v)
    elif activation == np.uint32(5):
        v = _sigmoid(v)
    return v
