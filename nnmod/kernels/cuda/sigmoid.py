"""The gated linear unit on the device.  Meaning and shapes: kernels/reference/sigmoid.py."""
from ..cpu import sigmoid as cpu
from .compile import each, on_device, per_item, split

_sigmoid = on_device(cpu._sigmoid)


def gated_linear_unit_update_output(x, y):
    """y <- a sigmoid(b).  See the reference."""
    each(_update_output, y.size, x, y)


def gated_linear_unit_update_grad_input(x, dy, dx):
    """dx <- the gradients of a and b.  See the reference."""
    each(_update_grad_input, dy.size, x, dy, dx)


@per_item
def _update_output(i, x, y):
    n, k = split(i, y.shape[1])
    y[n, k] = x[n, 0, k] * _sigmoid(x[n, 1, k])


@per_item
def _update_grad_input(i, x, dy, dx):
    n, k = split(i, dy.shape[1])
    s = _sigmoid(x[n, 1, k])
    g = dy[n, k] * s
    dx[n, 0, k] = g
    dx[n, 1, k] = g * x[n, 0, k] * (x.dtype.type(1) - s)
