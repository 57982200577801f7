"""Calls of kernels that the CUDA tests make: for each kernel functions that make its arguments."""
import numpy as np

from nnmod.kernels import cuda, reference


class Make:
    """Makes the arguments of a call: the same ones each time."""

    def __init__(self, dtype):
        self.dtype, self._rng = dtype, np.random.default_rng(7)

    def some(self, *shape):
        return self._rng.standard_normal(shape).astype(self.dtype)

    def positive(self, *shape):
        return np.abs(self.some(*shape)) + self.dtype(0.5)

    def out(self, *shape, dtype=None):
        """What is to be written: poisoned."""
        dtype = np.dtype(dtype or self.dtype)
        return np.full(shape, np.nan if dtype.kind == "f" else 99, dtype)

    def below(self, limit, *shape, dtype=np.int64):
        return self._rng.integers(0, limit, shape).astype(dtype)

    def mask(self, *shape):
        return (self._rng.random(shape) < 0.4).astype(np.uint8)


def _positions(m, size, out):
    lows, weights = np.empty(sum(out), np.int32), np.empty(sum(out), m.dtype)
    reference.linear_positions(lows, weights, size, out)
    return lows, weights


def _regions(size, out):
    """Regions that overlap, and one that is a single element, for all planes alike."""
    starts = [[i * n // o for i in range(o)] for n, o in zip(size, out)]
    stops = [[min(n, -(-(i + 1) * n // o) + 1) for i in range(o)] for n, o in zip(size, out)]
    return [np.array([sum(side, [])], np.int32) for side in (starts, stops)]


def _offsets(*sizes):
    return np.cumsum([0, *sizes])


def _pairs(m, k, C, O):
    pairs = np.stack([m.below(C, k), m.below(O, k)], 1)
    cut = lambda side, count: (np.argsort(pairs[:, side], kind="stable"),  # noqa: E731
                               np.concatenate([[0], np.cumsum(np.bincount(pairs[:, side], minlength=count))]))
    return pairs, cut(1, O), cut(0, C)


def _rois(m, dtype):
    """Regions of three images: inside, beside, over and upside down, on pixels' borders, and at random."""
    regions = [[0, 0, 0, 10, 8], [2, -40, -9, -20, -3], [1, 30, 2, 60, 5], [1, -5, -5, 40, 40], [0, 9, 9, 2, 1],
               [2, 3, 3, 3, 3], [1, 2.5, 1.5, 6.5, 4.5], [1, -2.5, -1.5, 6.5, 3.5], [0, 1.1, 0.9, 1.2, 14.3]]
    random = np.column_stack([np.arange(20) % 3, m._rng.uniform(-8, 25, (20, 4))])
    return np.concatenate([regions, random]).astype(dtype)


def _pixels(m):
    """Images with a NaN, and with two largest elements side by side."""
    x = m.some(3, 2, 9, 11)
    x[0, 1, 4, 5], x[1, 0, 3, 3:5] = np.nan, 9
    return x


def _maxima(m, rois, v2):
    """Where the maxima of regions are, as the forward kernel leaves it."""
    y, indices = m.out(len(rois), 2, 3, 4), m.out(len(rois), 2, 3, 4, dtype=np.int32)
    reference.roi_pool_update_output(_pixels(m), rois, y, indices, 0.7, v2)
    return indices


def _grid(m, *shape):
    grid = m._rng.uniform(-1.3, 1.3, (*shape, 2)).astype(m.dtype)
    grid.ravel()[:3] = np.nan, np.inf, -1
    return grid


_CTC = dict(T=7, N=4, C=5, S=3)


def _ctc(m):
    """Four samples: of few and of many steps, labels that repeat, one that has no path, none at all."""
    T, N, C, S = _CTC.values()
    x = np.log(np.exp(m.some(T, N, C)) / 5).astype(m.dtype)
    labels = np.array([[1, 1, 2], [3, 2, 3], [4, 4, 4], [1, 1, 1]])
    return x, labels, np.array([7, 5, 4, 0]), np.array([3, 2, 3, 0])


def _ctc_states(m):
    x, labels, steps, counts = _ctc(m)
    alpha, losses = m.out(4, 7, 7), m.out(4)
    reference.ctc_update_output(x, labels, steps, counts, alpha, losses, m.out(4, 4, 7), 0)
    return x, labels, steps, counts, alpha, losses


def _frames(m, name, OT, k, stride):
    """A call of a convolution of frames with 5 features to frames with 6."""
    x, w, y = m.some(3, 20, 5), m.some(6, 5 * k), m.some(3, OT, 6)
    work = m.out(cuda.temporal_conv_work_size(x.shape, w.shape, y.shape, stride))
    if name.endswith("output"):
        return x, w, m.some(6), m.out(*y.shape), work, stride
    if name.endswith("input"):
        return y, w, m.out(*x.shape), work, stride
    return x, y, w, m.some(6), work, stride, 0.3


def _volumes(m, name, groups):
    """A call of a convolution of volumes, with everything that it can have."""
    x, w, y = m.some(2, 4, 5, 8, 7), m.some(6, 4 // groups, 2, 3, 2), m.some(2, 6, 6, 2, 3)
    numbers = (1, 2, 3), (1, 0, 1), (1, 2, 1), groups
    work = m.out(cuda.conv3d_work_size(x.shape, w.shape, y.shape, *numbers))
    if name.endswith("output"):
        return x, w, m.some(6), m.out(*y.shape), work, *numbers
    return (y, w, m.out(*x.shape), work, *numbers) if name.endswith("input") else (
        x, y, w, m.some(6), work, *numbers, 0.3)


def _lstm(m, verb, peepholes, projected, masked, T=3, N=5, D=4, H=70):
    R = 6 if projected else H
    x, w, dy = m.some(T, N, D), m.some(D + R, 4 * H) / m.dtype(9), m.some(T, N, R)
    peephole, projection = m.some(3, H) if peepholes else None, m.some(H, R) / m.dtype(9) if projected else None
    first, last = (np.array([0, 1, 0, 2, 3]), np.array([3, 3, 2, 3, 3])) if masked else (None, None)
    h, c = m.some(T + 1, N, R), m.some(T + 1, N, H)
    if verb == "update_output":
        return (x, w, m.some(4 * H), peephole, projection, first, last, m.out(T, N, 4 * H), h, c,
                m.out(T, N, H) if projected else None, m.out(T, N, R) if masked else None)
    gates = 1 / (1 + np.exp(-m.some(T, N, 4 * H)))
    if verb == "update_grad_input":
        return (gates, c, w, peephole, projection, first, last, dy, m.out(T, N, 4 * H),
                m.out(T, N, R) if projected else None, m.out(N, H), m.some(N, R), m.some(N, H), m.out(T, N, D))
    return (x, h, c, m.some(T, N, H) if projected else None, gates, dy if projected else None, w, m.some(4 * H),
            peephole, projection, 0.3)


def _gru(m, verb, masked, T=3, N=5, D=4, H=70):
    x, wa, wc = m.some(T, N, D), m.some(D + H, 2 * H) / m.dtype(9), m.some(D + H, H) / m.dtype(9)
    first, last = (np.array([0, 1, 0, 2, 3]), np.array([3, 3, 2, 3, 3])) if masked else (None, None)
    h, a, k = m.some(T + 1, N, H), 1 / (1 + np.exp(-m.some(T, N, 2 * H))), np.tanh(m.some(T, N, H))
    if verb == "update_output":
        return (x, wa, m.some(2 * H), wc, m.some(H), first, last, m.out(T, N, 2 * H), m.out(T, N, H), m.out(T, N, H),
                h, m.out(T, N, H) if masked else None)
    if verb == "update_grad_input":
        return (h, a, k, wa, wc, first, last, m.some(T, N, H), m.out(T, N, 2 * H), m.out(T, N, H), m.out(N, H),
                m.some(N, H), m.out(T, N, D))
    return x, h, k, a, m.some(T, N, H), wa, m.some(2 * H), wc, m.some(H), 0.3


#: name of a kernel -> a function that makes the arguments of some calls.
CALLS = {
    "mask_rows": lambda m: [(m.some(7, 301), m.some(7), m.out(7, 301))],
    "zero_row_mask": lambda m: [(np.where(m.mask(70, 1), m.some(70, 45), m.dtype(0)), m.out(70, dtype=np.uint8)),
                      (m.out(3, 2), m.out(3, dtype=np.uint8))],
    "zero_masked_rows": lambda m: [(m.some(70, 45), m.mask(70), m.out(70, 45))],
    "permute": lambda m: [(m.some(*shape), m.out(*(shape[a] for a in axes)), axes) for shape, axes in [
        ((5, 7), (0, 1)), ((5, 7), (1, 0)), ((33, 65), (1, 0)), ((3, 40, 33), (0, 2, 1)), ((3, 40, 33), (1, 0, 2)),
        ((2, 3, 4, 5), (3, 1, 2, 0)), ((2, 3, 2, 3, 2, 5), (4, 1, 5, 2, 0, 3)), ((1,), (0,)), ((0, 3), (1, 0)),
        ((2, 3, 2, 3, 2, 3, 2), (5, 3, 1, 6, 0, 2, 4))]],
    "pad3d_update_output": lambda m: [(m.some(3, 4, 5, 17), m.out(3, *out), pad, mode) for mode in (
        "zero", "reflect", "replicate", "symmetric") for out, pad in (
        ((6, 9, 22), (1, 2, 3)), ((2, 4, 11), (-1, 0, -2)), ((4, 7, 15), (0, 2, -2)))],
    "pad3d_update_grad_input": lambda m: [(m.some(3, *out), m.out(3, 4, 5, 17), pad, mode) for mode in (
        "zero", "reflect", "replicate", "symmetric") for out, pad in (
        ((6, 9, 22), (1, 2, 3)), ((2, 4, 11), (-1, 0, -2)), ((4, 7, 15), (0, 2, -2)))],
    "upsample_nearest_update_output": lambda m: [(m.some(3, 2, 5, 7), m.out(3, 4, 5, 21))],
    "upsample_nearest_update_grad_input": lambda m: [(m.some(3, 4, 5, 21), m.out(3, 2, 5, 7))],
    "linear_positions": lambda m: [(m.out(1 + 7 + 300, dtype=np.int32), m.out(1 + 7 + 300), (1, 3, 100), (1, 7, 300)),
                         (m.out(6, dtype=np.int32), m.out(6), (4, 1, 2), (1, 3, 2))],
    "upsample_linear_update_output": lambda m: [(m.some(3, *size), *_positions(m, size, out), m.out(3, *out),
                                                 m.out(3, size[2])) for size, out in (
        ((1, 5, 9), (1, 8, 31)), ((3, 4, 5), (5, 3, 9)), ((2, 1, 1), (2, 3, 4)), ((4, 6, 8), (1, 1, 1)))],
    "upsample_linear_update_grad_input": lambda m: [(m.some(3, *out), *_positions(m, size, out), m.out(3, *size),
                                                     m.out(3, size[2])) for size, out in (
        ((1, 5, 9), (1, 8, 31)), ((3, 4, 5), (5, 3, 9)), ((2, 1, 1), (2, 3, 4)), ((4, 6, 8), (1, 1, 1)))],
    "pixel_shuffle_update_output": lambda m: [(m.some(2, 18, 4, 5), m.out(2, 2, 12, 15))],
    "pixel_shuffle_update_grad_input": lambda m: [(m.some(2, 2, 12, 15), m.out(2, 18, 4, 5))],
    "affine_grid_update_output": lambda m: [(m.some(3, 2, 3), m.out(3, 9, 11, 2))],
    "affine_grid_update_grad_input": lambda m: [(m.some(3, 9, 41, 2), m.out(3, 2, 3))],
    "sample_bilinear_update_output": lambda m: [(m.some(3, 6, 7, 4), _grid(m, 3, 5, 9), m.out(3, 5, 9, 4))],
    "sample_bilinear_update_grad_input": lambda m: [(m.some(3, 6, 7, 4), _grid(m, 3, 5, 9), m.some(3, 5, 9, 4),
                                                     m.out(3, 6, 7, 4), m.out(3, 5, 9, 2))],
    "roi_pool_update_output": lambda m: [
        (_pixels(m), _rois(m, dtype), m.out(len(_rois(m, dtype)), 2, 3, 4), m.out(len(_rois(m, dtype)), 2, 3, 4,
                                                                                  dtype=np.int32), scale, v2)
        for dtype, scale, v2 in ((m.dtype, 0.7, True), (m.dtype, 0.7, False), (np.int64, 0.5, True))]
        + [(_pixels(m), _rois(m, m.dtype)[:0], m.out(0, 2, 3, 4), m.out(0, 2, 3, 4, dtype=np.int32), 1.0, True)],
    "roi_pool_update_grad_input": lambda m: [
        (m.some(len(rois), 2, 3, 4), rois, _maxima(m, rois, v2), m.out(3, 2, 9, 11))
        for rois, v2 in ((_rois(m, m.dtype), True), (_rois(m, m.dtype), False), (_rois(m, m.dtype)[:0], True))],
    "index_axis": lambda m: [(m.some(3, 50, 7), m.below(50, 20, dtype=np.int32), m.out(3, 20, 7)),
                   (m.some(1, 500, 1), m.below(500, 300), m.out(1, 300, 1))],
    "index_axis_update_grad_input": lambda m: [(m.some(3, 40, 7), m.below(20, 40, dtype=np.int32), m.out(3, 20, 7)),
                                     (m.some(2, 0, 3), m.below(5, 0), m.out(2, 5, 3))],
    "masked_select": lambda m: [(lambda mask: (m.some(n), mask, m.out(int(mask.sum()))))(m.mask(n))
                      for n in (1, 31, 300, 70_000)],
    "masked_select_update_grad_input": lambda m: [(lambda mask: (m.some(int(mask.sum())), mask, m.out(n)))(
        m.mask(n)) for n in (1, 31, 300, 70_000)] + [(m.some(0), np.zeros(9, np.uint8), m.out(9))],
    "one_hot": lambda m: [(m.below(9, 40), m.out(40, 9)), (m.below(9, 0), m.out(0, 9))],
    "first_outside": lambda m: [(m.below(9, 700), m.out(1, dtype=np.int64), 0, limit) for limit in (9, 8, 0)] + [
        (m.below(9, 0), m.out(1, dtype=np.int64), 0, 3)],
    "lookup_update_output": lambda m: [(m.below(30, 50), m.some(30, 11), m.out(50, 11))],
    "lookup_count": lambda m: [(m.below(30, 500), np.full(40, 5, np.int32))],
    "lookup_acc_grad_parameters": lambda m: [
        (m.below(30, 300), m.some(300, 11), None, m.some(30, 11), 0.7, 4),
        (m.below(30, 300, dtype=np.int32), m.some(300, 11), np.arange(1, 31, dtype=np.int32),
                   m.some(30, 11))],
    "lookup_renorm": lambda m: [(m.below(30, 60), m.some(30, 45), 0.9, p) for p in (1, 2, 2.5)],
    "note_rows": lambda m: [(m.below(90, 300), (np.arange(90) < 5).astype(np.uint8),
                             np.concatenate([np.arange(5), np.zeros(85, int)]), np.array([5]))],
    "add_scaled_rows": lambda m: [(np.array([3, 1, 7]), m.some(2, 9, 50), m.some(2, 9, 50), -0.3)],
    "clear_rows": lambda m: [(np.array([3, 1, 7]), m.some(2, 9, 50), np.ones(9, np.uint8), np.array([3])),
                   (np.array([], int), m.some(2, 9, 50), np.ones(9, np.uint8), np.array([3]))],
    "max_regions_update_output": lambda m: [(np.round(m.some(3, 4, 9, 11)), *_regions((4, 9, 11), (2, 3, 4)),
                                             m.out(3, 2, 3, 4), m.out(3, 2, 3, 4, dtype=np.int32))],
    "mean_regions_update_output": lambda m: [(m.some(3, 4, 9, 11), *_regions((4, 9, 11), (2, 3, 4)),
                                              m.out(3, 2, 3, 4))],
    "mean_regions_update_grad_input": lambda m: [(m.some(3, 2, 3, 4), *_regions((4, 9, 11), (2, 3, 4)),
                                                  m.out(3, 4, 9, 11))],
    "fractional_regions": lambda m: [(m._rng.random((5, 2)), m.out(5, 8, dtype=np.int32), m.out(5, 8, dtype=np.int32),
                                      (1, 9, 13), (1, 3, 4), (1, 2, 3))],
    "k_max_pool_update_output": lambda m: [(np.round(m.some(3, 50, 7)), m.out(3, 4, 7),
                                            m.out(3, 4, 7, dtype=np.int32), m.out(3, 4)),
                                 (np.where(m.mask(2, 9, 3), m.dtype(np.nan), m.some(2, 9, 3)),
                                            m.out(2, 9, 3), m.out(2, 9, 3, dtype=np.int32), m.out(2, 9))],
    "class_nll_update_output": lambda m: [
        (m.some(5, 3, 900), m.below(3, 5, 900), m.positive(3), m.out(2, dtype=np.float64), 1),
        (m.some(5, 3, 1), m.below(3, 5, 1, dtype=np.int32), None, m.out(2, dtype=np.float64), -100)],
    "class_nll_update_grad_input": lambda m: [
        (m.below(3, 5, 900), m.positive(3), m.out(5, 3, 900), 1, True),
        (m.below(3, 5, 1, dtype=np.int32), None, m.out(5, 3, 1), -100, False),
        (np.ones((5, 1), int), None, m.out(5, 3, 1), 1, True)],
    "multi_margin_update_output": lambda m: [(m.some(9, 70), m.below(70, 9), w and m.positive(70),
                                              m.out(9, dtype=np.float64), p, 0.7) for p in (1, 2) for w in (None, 1)],
    "multi_margin_update_grad_input": lambda m: [(m.some(9, 70), m.below(70, 9), w and m.positive(70), m.out(9, 70),
                                                  p, 0.7, 0.3) for p in (1, 2) for w in (None, 1)],
    "multi_label_margin_update_output": lambda m: [(m.some(9, 40), m.below(41, 9, 40) - 1,
                                                    m.out(9, 40, dtype=np.uint8), m.out(9, dtype=np.float64))],
    "multi_label_margin_update_grad_input": lambda m: [(m.some(9, 40), m.below(41, 9, 40) - 1,
                                                        m.out(9, 40, dtype=np.uint8), m.out(9, 40), 0.3)],
    "class_simplex_target": lambda m: [(m.some(5, 5), m.below(5, 90), m.out(90, 5))],
    "cosine_embedding_update_output": lambda m: [(m.some(9, 70), m.some(9, 70), 2 * m.mask(9).astype(m.dtype) - 1,
                                                  m.out(9, dtype=np.float64), -0.1)],
    "cosine_embedding_update_grad_input": lambda m: [(m.some(9, 70), m.some(9, 70), 2 * m.mask(9).astype(m.dtype) - 1,
                                                      m.out(9, 70), m.out(9, 70), -0.1, 0.4)],
    "euclidean_update_output": lambda m: [(m.some(5, 40), m.some(40, 9), c and m.some(40, 9), m.out(5, 9))
                                for c in (None, 1)],
    "euclidean_update_grad_input": lambda m: [(m.some(5, 7), m.some(7, 70), c and m.some(7, 70), m.some(5, 70),
                                               m.out(5, 7)) for c in (None, 1)],
    "euclidean_acc_grad_parameters": lambda m: [(m.some(5, 40), m.some(40, 9), c and m.some(40, 9), m.some(5, 9),
                                                 m.some(40, 9), c and m.some(40, 9), -0.7) for c in (None, 1)],
    "vector_norms": lambda m: [(m.some(9, 70), m.out(9), 1e-3), (m.some(1, 1), m.out(1), 0)],
    "divide_outer": lambda m: [(m.positive(9), m.positive(70), m.some(9, 70))],
    "cosine_gradients": lambda m: [(m.some(9, 70), m.some(9, 70), m.positive(9), m.positive(70), m.out(9, 70),
                                    m.out(9), m.out(70))],
    "add_factored_rows": lambda m: [(m.some(9, 70), m.some(9), m.out(9, 70)),
                          (m.some(9, 70), m.some(9), m.some(9, 70), 0.5, -0.3)],
    "nearest_update_output": lambda m: [(x := m.some(9, 70), m.some(6, 70), m.out(9, dtype=np.int64), m.out(9),
                                         m.out(9), x.__setitem__((4, 60), np.nan))[:5]],
    "nearest_acc_grad_parameters": lambda m: [(m.some(40, 70), m.some(6, 70), m.below(5, 40),
                                               m.out(6, dtype=np.int64), m.some(6, 70), 0.3)],
    "dot_rows": lambda m: [(m.some(9, 70), m.some(9, 70), m.out(9))],
    "scale_rows": lambda m: [(m.some(9), m.some(9, 70), m.out(9, 70))],
    "cosine_update_output": lambda m: [(m.some(9, 70), m.some(9, 70), m.out(9), m.out(2, 9))],
    "cosine_update_grad_input": lambda m: [(m.some(9, 70), m.some(9, 70), m.some(9), m.positive(2, 9), m.some(9),
                                            m.out(9, 70), m.out(9, 70))],
    "distance_update_output": lambda m: [(m.some(9, 70), m.some(9, 70), m.out(9), p) for p in (1, 2, 3.5)],
    "distance_update_grad_input": lambda m: [(np.round(m.some(9, 70)), np.round(m.some(9, 70)), m.positive(9),
                                              m.some(9), m.out(9, 70), m.out(9, 70), p) for p in (1, 2, 3.5)],
    "mixture_update_output": lambda m: [(m.some(4, 6), m.some(4, 3, 5, 40), m.out(4, 3, 40), 1),
                              (m.some(4, 6), m.some(4, 3, 5, 40), m.some(4, 3, 40), 0, True)],
    "mixture_update_grad_input": lambda m: [(m.some(4, 6), m.some(4, 3, 5, 40), m.some(4, 3, 40), m.some(4, 6),
                                             m.out(4, 3, 5, 40), 1)],
    "bilinear_dots": lambda m: [(m.some(4, 3, 40), m.some(4, 40), b and m.some(3), m.out(4, 3)) for b in (None, 1)],
    "bilinear_weighted": lambda m: [(m.some(4, 3, 90), m.some(4, 3), m.out(4, 90))],
    "bilinear_outer": lambda m: [(m.some(4, 3), m.some(4, 90), m.out(4, 3, 90))],
    "weight_norm_update_output": lambda m: [(m.some(9, 70), m.some(9, 1), m.out(9, 1), m.out(9, 70), 1e-3, floor)
                                  for floor in (0.1, 8)],
    "weight_norm_acc_grad_parameters": lambda m: [(m.some(9, 70), m.some(9, 1), np.maximum(m.positive(9, 1), 1),
                                                   m.some(9, 70), m.some(9, 70), m.some(9, 1), 1)],
    "entry_offsets": lambda m: [(m.below(9, 300), m.out(301, dtype=np.int64), m.out(1, dtype=np.int64)),
                      (np.array([3, 0, -2, 4, -1]), m.out(6, dtype=np.int64), m.out(1, dtype=np.int64))],
    "even_offsets": lambda m: [(m.out(300, dtype=np.int64), 7)],
    "shift_keys": lambda m: [(m.below(9, 300, dtype=np.int32), m.out(300, dtype=np.int64), 5)],
    "split_pairs": lambda m: [(np.array([[1, 2.5], [0, 1], [8, 3], [wrong, 2], [-1, 4]][:n], m.dtype),
                                            m.out(n, dtype=np.int64), m.out(n), m.out(1, dtype=np.int64), 9)
                    for n, wrong in ((3, 0), (5, 9), (4, 1.5), (4, np.nan), (4, np.inf), (4, 3))],
    "join_pairs": lambda m: [(m.some(9, 70), m.out(9, 70, 2))],
    "sparse_linear_update_output": lambda m: [(m.below(20, 30), m.some(30), _offsets(11, 0, 19), m.some(7, 20),
                                               m.some(7), m.out(3, 7))],
    "sparse_linear_acc_grad_parameters": lambda m: [(m.below(20, 30), m.some(30), _offsets(11, 0, 19), m.some(3, 7),
                                                     m.some(7, 20), 0.3)],
    "index_linear_update_output": lambda m: [(m.below(20, 30), m.some(30), _offsets(11, 0, 19), m.some(20, 7),
                                              m.some(7), m.out(3, 7))],
    "index_linear_acc_grad_parameters": lambda m: [(m.below(20, 30), m.some(30), _offsets(11, 0, 19), m.some(3, 7),
                                                    m.some(20, 7), 0.3)],
    "index_normalize": lambda m: [(m.below(5, 30), m.some(30), m.some(5), np.abs(m.some(5)), m.out(30), m.out(30),
                                   train) for train in (True, False)],
    "index_restore": lambda m: [(m.below(5, 30), m.some(30), m.some(5))],
    "index_acc_grad_shift": lambda m: [(m.below(20, 30), _offsets(11, 0, 19), m.some(3, 70), m.some(20, 70),
                                        m.some(20), 0.3)],
    "cross_map_lrn_update_output": lambda m: [(m.some(3, 7, 50), m.out(3, 7, 50), m.out(3, 7, 50), 5, 0.3, 0.75, 2)],
    "cross_map_lrn_update_grad_input": lambda m: [(m.some(3, 7, 50), m.some(3, 7, 50), m.some(3, 7, 50),
                                                   m.positive(3, 7, 50), m.out(3, 7, 50), 5, 0.3, 0.75)],
    "sum_channels": lambda m: [(m.some(3, 7, 150), m.out(3, 150), square) for square in (True, False)],
    "kernel_share": lambda m: [(m.positive(5, 3), m.out(9, 40), 1)],
    "filter_planes": lambda m: [(m.some(3, 9, 40), m.some(5, 3), f and m.some(9, 40), m.out(3, 9, 40))
                      for f in (None, 1)],
    "filter_planes_adjoint": lambda m: [(m.some(3, 9, 40), m.some(5, 3), f and m.some(9, 40), m.out(3, 9, 40))
                              for f in (None, 1)],
    "subtract_planes": lambda m: [(m.some(3, 7, 50), m.some(3, 50), m.out(3, 7, 50))],
    "divide_planes": lambda m: [(m.some(3, 7, 50), m.positive(3, 50), m.out(3, 7, 50))],
    "local_deviation": lambda m: [(m.positive(3, 9, 40), m.positive(9, 40), m.out(3, 9, 40), 1, 3)],
    "local_deviation_grad": lambda m: [(m.some(3, 7, 50), m.some(3, 7, 50), m.positive(3, 50), m.positive(50),
                                        m.positive(3, 50), m.out(3, 50), 1)],
    "divide_planes_grad": lambda m: [(m.some(3, 7, 50), m.some(3, 7, 50), m.positive(3, 50), m.some(3, 50),
                                      m.out(3, 7, 50))],
    "gated_linear_unit_update_output": lambda m: [(m.some(3, 2, 150), m.out(3, 150))],
    "gated_linear_unit_update_grad_input": lambda m: [(m.some(3, 2, 150), m.some(3, 150), m.out(3, 2, 150))],
    "total_variation_update_grad_input": lambda m: [(m.some(3, 9, 40), m.some(3, 9, 40), m.out(3, 9, 40), 0.3),
                                          (m.some(3, 1, 4), m.some(3, 1, 4), m.out(3, 1, 4), 0.3)],
    "ctc_update_output": lambda m: [(*_ctc(m), np.zeros((4, 7, 7), m.dtype), m.out(4), m.out(4, 4, 7), 0)],
    "ctc_update_grad_input": lambda m: [(*_ctc_states(m), m.out(4, 4, 7), m.out(7, 4, 5),
                                         np.array([1, 0.3, 0, 1], m.dtype), 0)],
    "mufuru_update_output": lambda m: [(m.some(9, 40), m.some(9, 40), np.arange(8), m.some(9, 8, 40), m.out(9, 40))],
    "mufuru_update_grad_input": lambda m: [(m.some(9, 40), m.some(9, 40), np.arange(8), m.positive(9, 8, 40),
                                            m.some(9, 40), m.out(9, 8, 40), m.out(9, 40), m.out(9, 40))],
    "row_norms": lambda m: [(m.some(9, 70), m.out(9))],
    "add_norm_gradient": lambda m: [(m.some(3, 70), np.array([0, 1, 2], m.dtype), m.some(3), m.some(3, 70), 0.3)],
    "row_conv_update_output": lambda m: [(m.some(2, 20, 30), m.some(30, 4), b and m.some(30), m.out(2, out, 30),
                                          m.out(0), stride) for b in (None, 1) for out, stride in ((17, 1), (6, 3))],
    "row_conv_update_grad_input": lambda m: [(m.some(2, out, 30), m.some(30, 4), m.out(2, 20, 30), m.out(0), stride)
                                   for out, stride in ((17, 1), (6, 3), (3, 6))],
    "row_conv_acc_grad_parameters": lambda m: [(m.some(2, 20, 30), m.some(2, out, 30), m.some(30, 4),
                                                b and m.some(30), m.out(120), stride, 0.3)
                                     for b in (None, 1) for out, stride in ((17, 1), (6, 3))],
    "local_conv_update_output": lambda m: [(m.some(3, 4, 9, 8), m.some(5, 4, 6, 4, 3, 3), b and m.some(6, 5, 4),
                                            m.out(3, 6, 5, 4), m.out(0), (2, 2), (1, 1)) for b in (None, 1)],
    "local_conv_update_grad_input": lambda m: [(m.some(3, 6, 5, 4), m.some(5, 4, 6, 4, 3, 3), m.out(3, 4, 9, 8),
                                                m.out(0), (2, 2), (1, 1))],
    "local_conv_acc_grad_parameters": lambda m: [(m.some(3, 4, 9, 8), m.some(3, 6, 5, 4), m.some(5, 4, 6, 4, 3, 3),
                                                  b and m.some(6, 5, 4), m.out(0), (2, 2), (1, 1), 0.3)
                                       for b in (None, 1)],
    "plane_conv_update_output": lambda m: [(lambda p: (m.some(3, 4, 9, 8), m.some(7, 3, 2), b and m.some(3, 2), p[0],
                                                       p[1], m.out(3, 6, 5, 4), m.out(0), (2, 2), (1, 0)))(
        _pairs(m, 7, 4, 6)) for b in (None, 1)],
    "plane_conv_update_grad_input": lambda m: [(lambda p: (m.some(3, 6, 5, 4), m.some(7, 3, 2), p[0], p[2],
                                                           m.out(3, 4, 9, 8), m.out(0), (2, 2), (1, 0)))(
        _pairs(m, 7, 4, 6))],
    "plane_conv_acc_grad_parameters": lambda m: [(m.some(3, 4, 9, 8), m.some(3, 6, 5, 4), _pairs(m, 7, 4, 6)[0],
                                                  m.some(7, 3, 2), m.out(0), (2, 2), (1, 0), 0.3)],
    **{name: lambda m, name=name: [_frames(m, name, *windows) for windows in (
        (17, 4, 1), (6, 4, 3), (5, 4, 4), (1, 20, 3))] for name in (
        "temporal_conv_update_output", "temporal_conv_update_grad_input", "temporal_conv_acc_grad_parameters")},
    **{name: lambda m, name=name: [_volumes(m, name, groups) for groups in (1, 2)] for name in (
        "conv3d_update_output", "conv3d_update_grad_input", "conv3d_acc_grad_parameters")},
    **{f"lstm_{verb}": lambda m, verb=verb: [_lstm(m, verb, *options) for options in (
        (False, False, False), (True, True, True))] for verb in (
        "update_output", "update_grad_input", "acc_grad_parameters")},
    **{f"gru_{verb}": lambda m, verb=verb: [_gru(m, verb, masked) for masked in (False, True)]
       for verb in ("update_output", "update_grad_input", "acc_grad_parameters")},
    "add_planes": lambda m: [(m.some(2, 3), m.some(4, 6, 5, 9)), (m.some(2, 3), m.some(0, 6, 5))],
    "sum_planes": lambda m: [(m.some(4, 6, 5, 9), m.some(2, 3), 0.3), (m.some(0, 6, 5), m.some(2, 3))],
}
