"""Penalties on images, on the device: a thread to each pixel.  Meaning: kernels/reference/gradient.py."""
from .compile import each, number, per_item, split


def total_variation_update_grad_input(x, dy, dx, strength):
    """dx <- dy plus the gradient of the total variation of x, plane by plane.  See the reference."""
    each(_total_variation, x.size, x, dy, dx, number(strength, x))


@per_item
def _total_variation(i, x, dy, dx, strength):
    i, w = split(i, x.shape[2])
    p, h = split(i, x.shape[1])
    H, W = x.shape[1:]
    value, total = x[p, h, w], dy[p, h, w]
    if h + 1 < H and w + 1 < W:
        total += strength * ((value - x[p, h, w + 1]) + (value - x[p, h + 1, w]))
    if h + 1 < H and w > 0:
        total -= strength * (x[p, h, w - 1] - value)
    if h > 0 and w + 1 < W:
        total -= strength * (x[p, h - 1, w] - value)
    dx[p, h, w] = total
