"""Apply a scalar formula to whole tensors, in plain NumPy."""
import numpy as np

from .. import formulas


def elementwise(formula, reads, writes=1):
    """``kernel(*inputs, *outputs, *numbers)``: the formula at every element.

    reads and writes count the input and the output tensors.

    The library's own formulas are branch-free, so NumPy evaluates them on whole
    arrays at once.  A formula from elsewhere may branch, so it is called element by
    element.
    """
    if formula.__module__ != formulas.__name__:
        formula = _each_element(formula, reads, writes)

    def kernel(*args):
        tensors, numbers = args[:reads + writes], args[reads + writes:]
        # In the tensors' dtype, as compiled kernels take them.
        numbers = [tensors[0].dtype.type(number) for number in numbers]
        with np.errstate(all="ignore"):
            values = formula(*tensors[:reads], *numbers)
        if writes == 1:
            values = values,
        for target, value in zip(tensors[reads:], values):
            target[...] = value

    return kernel


def elementwise_sum(formula, reads):
    """``kernel(*inputs, out, *numbers)``: out[0] <- the sum of the formula over all elements.

    reads counts the inputs
    out  (1,)  [out] float64; the sum is taken in float64
    """
    if formula.__module__ != formulas.__name__:
        formula = _each_element(formula, reads, 1)

    def kernel(*args):
        numbers = [args[0].dtype.type(number) for number in args[reads + 1:]]
        with np.errstate(all="ignore"):
            args[reads][0] = np.sum(formula(*args[:reads], *numbers), dtype=np.float64)

    return kernel


def _each_element(formula, reads, writes):
    def call(*args):
        dtype = args[0].dtype.type
        flat = [tensor.ravel() for tensor in args[:reads]]
        results = np.empty((writes, flat[0].size), dtype)
        for i in range(flat[0].size):
            results[:, i] = formula(*[tensor[i] for tensor in flat], *args[reads:])
        results = results.reshape(writes, *args[0].shape)
        return results[0] if writes == 1 else tuple(results)

    return call
