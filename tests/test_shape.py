"""Views, layouts, parts and borders: what the generic tests cannot see."""
import itertools

import numpy as np
import pytest

import nnmod
from nnmod import ShapeError, kernels, tensor
from test_kernels import DTYPES, backend, on_each_backend  # noqa: F401


def float32(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


# -- views -----------------------------------------------------------------------------

@pytest.mark.parametrize("module", [
    nnmod.Squeeze(), nnmod.Unsqueeze(1), nnmod.Collapse(2), nnmod.Contiguous(), nnmod.Select(0, 1),
    nnmod.Narrow(1, 0, 2), nnmod.SplitTable(0), nnmod.Convert("bchw", "bf"), nnmod.Copy()], ids=repr)
def test_views_move_nothing(module):
    x = float32(2, 3, 4, 5)
    before = tensor.allocations
    output = module.forward(x)
    assert tensor.allocations == before
    for y in output if isinstance(output, list) else [output]:
        assert np.shares_memory(y, x)


def test_nothing_is_left_without_a_dimension():
    """Torch7 knows no tensor of no dimensions; neither does what follows in a network."""
    for module, x in [(nnmod.Squeeze(), float32(1, 1)), (nnmod.Squeeze(0), float32(1)), (nnmod.Select(0, 2), float32(4)),
                      (nnmod.Convert("bf", "b"), float32(1))]:
        y = module.forward(x)
        assert y.shape == (1,)
        assert module.backward(x, y.copy()).shape == x.shape
    assert [y.shape for y in nnmod.SplitTable(0).forward(float32(3))] == [(1,)] * 3


def test_squeeze_keeps_a_batch_of_one():
    assert nnmod.Squeeze(None, 3).forward(float32(1, 1, 4, 1)).shape == (1, 4)
    assert nnmod.Squeeze(None, 3).forward(float32(1, 4, 1)).shape == (4,)
    assert nnmod.Squeeze(1).forward(float32(3, 2)).shape == (3, 2)  # of another size: stays


def test_narrow_to_the_end():
    x = float32(5)
    assert nnmod.Narrow(0, 1, -1).forward(x).tolist() == [1, 2, 3, 4]
    assert nnmod.Narrow(0, 1, -2).forward(x).tolist() == [1, 2, 3]
    assert nnmod.Narrow(0, 4).forward(x).tolist() == [4]


def test_parts_of_integers_have_no_gradient():
    index = np.arange(6).reshape(2, 3)
    for module in (nnmod.Select(0, 1), nnmod.Narrow(1, 0, 2), nnmod.SplitTable(0), nnmod.View(6)):
        output = module.forward(index)
        gradOutput = [None] * len(output) if isinstance(output, list) else None
        assert module.backward(index, gradOutput) is None


def test_a_network_of_indices_runs_backward():
    """None, the gradient of the indices, passes through the modules that lead them."""
    x, index = float32(4, 3), np.array([1, 1, 3])
    net = nnmod.Sequential(nnmod.Identity(), nnmod.ParallelTable(nnmod.Linear(3, 2), nnmod.Identity()),
                           nnmod.Index(0))
    y = net.forward([x, index])
    gradInput = net.backward([x, index], np.ones_like(y))
    assert gradInput[0].shape == x.shape and gradInput[1] is None
    assert net.modules[1].modules[0].gradBias.tolist() == [3, 3]


def test_print_size(capsys):
    module = nnmod.PrintSize("conv")
    x = float32(2, 3)
    module.forward(x)
    module.backward(x, x)
    nnmod.PrintSize().forward([x, x])
    assert capsys.readouterr().out == (
        "conv:input float32 (2, 3)\nconv:gradOutput float32 (2, 3)\n:input [float32 (2, 3), float32 (2, 3)]\n")


# -- layout ----------------------------------------------------------------------------

@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
def test_permute(backend, dtype):
    """Every order of dimensions, at sizes around those of a tile and with dimensions of 1 and 0."""
    rng = np.random.default_rng(0)
    for shape in [(3,), (1,), (70, 9), (8, 64), (65, 7), (2, 1, 3), (5, 9, 66), (3, 1, 8, 10), (2, 3, 2, 9, 4), (3, 0, 2)]:
        x = rng.standard_normal(shape).astype(dtype)
        for axes in itertools.permutations(range(x.ndim)):
            y = np.full([shape[axis] for axis in axes], np.nan, dtype)
            backend.permute(x, y, axes)
            np.testing.assert_array_equal(y, x.transpose(axes))


def test_transpose_exchanges_pair_after_pair():
    x = float32(2, 3, 4)
    y = nnmod.Transpose((0, 2), (0, 1)).forward(x)
    np.testing.assert_array_equal(y, x.swapaxes(0, 2).swapaxes(0, 1))


def test_copy_converts_both_ways():
    module = nnmod.Copy("float32", "float64", dontCast=True)
    x = float32(3)
    y = module.forward(x)
    assert y.dtype == np.float64
    assert module.backward(x, y.copy()).dtype == np.float32
    assert module.double().forward(x).dtype == np.float64  # kept
    cast = nnmod.Copy("float32", "float64").double()
    assert cast.forward(x.astype(np.float64)).dtype == np.float64
    with pytest.raises(TypeError, match="input must be float32 like the module, got float64"):
        module.forward(y)


def test_convert_takes_any_number_and_gives_the_gradient_back_in_its_type():
    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    module = nnmod.Convert("chw", "hwc")
    y = module.forward(image)
    assert y.dtype == np.float32 and y.shape == (3, 4, 2)
    assert module.backward(image, y.copy()) is None
    x = image.astype(np.float64)
    y = module.forward(x)
    dx = module.backward(x, y.copy())
    assert dx.dtype == np.float64
    np.testing.assert_array_equal(dx, x)


def test_convert_flattens_what_a_swap_brings_to_the_front():
    """As in Torch7, the batch changes places with the first dimension and the others stay."""
    x = float32(2, 3, 4, 5)
    np.testing.assert_array_equal(nnmod.Convert("chwb", "bf").forward(x), x.swapaxes(0, 3).reshape(5, 24))


# -- parts -----------------------------------------------------------------------------

@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
def test_index_kernels(backend, dtype):
    rng = np.random.default_rng(0)
    for A, n, B, m in [(1, 4, 3, 6), (3, 5, 1, 2), (2, 1, 4, 3), (1, 3, 2, 0), (0, 3, 2, 2)]:
        x, index = rng.standard_normal((A, n, B)).astype(dtype), rng.integers(0, n, m)
        y = np.full((A, m, B), np.nan, dtype)
        backend.index_axis(x, index, y)
        np.testing.assert_array_equal(y, x[:, index])
        dx = np.full_like(x, np.nan)
        backend.index_axis_update_grad_input(y, index, dx)
        expected = np.zeros_like(x)
        np.add.at(expected, (slice(None), index), y)
        np.testing.assert_allclose(dx, expected, rtol=1e-6)


@on_each_backend
def test_masks_of_all_and_none(backend):
    x = np.arange(3.0)
    for mask, kept in [([1, 1, 1], [0, 1, 2]), ([0, 0, 0], []), ([0, 2, 0], [1])]:
        module = nnmod.MaskedSelect()
        given = [x, np.array(mask, np.uint8)]
        y = module.forward(given)
        assert y.tolist() == kept
        gradInput = module.backward(given, y + 5)
        assert gradInput[0].tolist() == [5 + v if m else 0 for v, m in zip(x, mask)] and gradInput[1] is None


def test_one_hot_of_one_number():
    module = nnmod.OneHot(400)
    y = module.forward(int("399"))
    assert y.shape == (400,) and y[399] == y.sum() == 1
    assert module.backward(int("399"), y.copy()) is None
    assert module.double().forward(np.zeros((2, 0), np.int64)).shape == (2, 0, 400)


# -- borders ---------------------------------------------------------------------------

@pytest.mark.parametrize("cls, mode", [(nnmod.SpatialZeroPadding, "constant"), (nnmod.SpatialReflectionPadding, "reflect"),
                                       (nnmod.SpatialReplicationPadding, "edge")])
def test_borders_are_numpys(cls, mode):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6))
    for left, right, top, bottom in [(0, 0, 0, 0), (1, 2, 3, 4), (4, 0, 0, 1), (5, 5, 4, 4)]:
        expected = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), mode=mode)
        np.testing.assert_array_equal(cls(left, right, top, bottom).forward(x), expected)


def test_a_symmetric_border_is_numpys_and_a_constant_for_backward():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6))
    for left, right, top, bottom in [(0, 0, 0, 0), (1, 2, 3, 4), (6, 6, 5, 5)]:
        module = nnmod.SpatialSymmetricPadding(left, right, top, bottom).double()
        expected = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), mode="symmetric")
        np.testing.assert_array_equal(module.forward(x), expected)
        dy = np.random.default_rng(1).standard_normal(expected.shape)
        np.testing.assert_array_equal(module.backward(x, dy), dy[:, :, top:top + 5, left:left + 6])
    with pytest.raises(ShapeError, match="as large as the mirrored border"):
        nnmod.SpatialSymmetricPadding(7, 0, 0, 0).forward(x)


def test_borders_wider_than_the_image():
    x = np.arange(4.0).reshape(1, 2, 2)
    assert nnmod.SpatialReplicationPadding(3, 0, 0, 0).forward(x)[0, 0].tolist() == [0, 0, 0, 0, 1]
    # Both cropped away and replicated: what lies nearest is repeated.
    assert nnmod.SpatialReplicationPadding(-3, 4, 0, 0).forward(x)[0].tolist() == [[1, 1, 1], [3, 3, 3]]
    zero = nnmod.SpatialZeroPadding(-3, 4, 0, 0)
    assert not zero.forward(x).any() and not zero.backward(x, np.ones((1, 2, 3))).any()


# -- errors ----------------------------------------------------------------------------

@pytest.mark.parametrize("call, kind, text", [
    (lambda: nnmod.Squeeze(3).forward(float32(2, 1)), ShapeError,
     "dim 3 does not exist in a tensor of 2 dimensions (counted from 0)"),
    (lambda: nnmod.Unsqueeze(1, 3).forward(float32(2, 1)), ShapeError,
     "input must have at least 3 dimensions (numInputDims), got shape (2, 1)"),
    (lambda: nnmod.Unsqueeze(4).forward(float32(2, 1)), ShapeError,
     "pos 4 does not exist in a tensor of 3 dimensions (counted from 0)"),
    (lambda: nnmod.Transpose(0, 1), ValueError, "permutations must be pairs of dimensions such as (0, 1), got 0"),
    (lambda: nnmod.Transpose((0, 1), numInputDims=3).forward(float32(2, 2)), ShapeError,
     "input must have at least 3 dimensions (numInputDims), got 2"),
    (lambda: nnmod.Convert("bchw", "bcx"), ValueError, "there is no conversion of layout 'bchw' to 'bcx'"),
    (lambda: nnmod.Convert("bb"), ValueError,
     "inputShape must be letters, one a dimension and each once, such as \"bchw\", got 'bb'"),
    (lambda: nnmod.Convert(None, "bf"), ValueError, "inputShape must be given where outputShape is"),
    (lambda: nnmod.Convert("bchw", "bf").forward(float32(2, 2)), ShapeError,
     "input must have the dimensions 'bchw', with or without b, got shape (2, 2)"),
    (lambda: nnmod.Convert("bf", "b").forward(float32(4, 2)), ShapeError,
     "input must have one feature to be converted to 'b', got shape (4, 2)"),
    (lambda: nnmod.Select(1, 3).forward(float32(2, 3)), IndexError,
     "index 3 does not exist in dimension 1 of shape (2, 3) (counted from 0)"),
    (lambda: nnmod.Select(0.5, 1), ValueError,
     "dimension must be an int, counted from 0 (negative: from the end), got 0.5"),
    (lambda: nnmod.Narrow(1, 2, 2).forward(float32(2, 3)), ShapeError,
     "input must have 4 slices or more in dimension 1 for offset 2 and length 2, got shape (2, 3)"),
    (lambda: nnmod.Narrow(0, 0, 0), ValueError, "length must not be 0"),
    (lambda: nnmod.Replicate(0), ValueError, "nf must be an int > 0, got 0"),
    (lambda: nnmod.Index(0).forward([float32(2), np.array([0, 2])]), IndexError,
     "input[1] holds 2, but slices are 0..1 (nnmod counts from 0)"),
    (lambda: nnmod.Index(0).forward([float32(2), float32(2)]), TypeError,
     "input[1] must hold int32 or int64, got float32; convert it with .astype(np.int64)"),
    (lambda: nnmod.MaskedSelect().forward([float32(2), np.ones(3, bool)]), ShapeError,
     "input[1], the mask, must have the shape of input[0], (2,), got (3,)"),
    (lambda: nnmod.MaskedSelect().forward([float32(2), float32(2)]), TypeError,
     "input[1], the mask, must be bool or uint8, got float32; convert it with .astype(bool)"),
    (lambda: nnmod.OneHot(3).forward(np.array([0, -1])), IndexError,
     "input holds -1, but numbers are 0..2 (nnmod counts from 0)"),
    (lambda: nnmod.Padding(0, 1, index=3).forward(float32(2)), ShapeError,
     "input must have 3 slices or more in dimension 0 (index), got shape (2,)"),
    (lambda: nnmod.SpatialZeroPadding(-2, -2).forward(float32(1, 4, 4)), ShapeError,
     "input of shape (1, 4, 4) is too small to be cropped by l=-2, r=-2, t=-2, b=-2"),
    (lambda: nnmod.SpatialReflectionPadding(2, 0, 0, 0).forward(float32(1, 3, 2)), ShapeError,
     "input must be larger than the reflected border on each side, got shape (1, 3, 2) for l=2, r=0, t=0, b=0"),
    (lambda: nnmod.VolumetricReplicationPadding(1).forward(float32(2, 2, 2)), ShapeError,
     "input must have shape (N, C, D, H, W) or (C, D, H, W), got (2, 2, 2)"),
])
def test_errors_in_words(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text


def test_indices_are_checked_before_anything_is_written():
    module = nnmod.Index(0)
    x = float32(3, 2)
    y = module.forward([x, np.array([0, 2])])
    kept = y.copy()
    with pytest.raises(IndexError):
        module.forward([x, np.array([0, 3])])
    np.testing.assert_array_equal(y, kept)


def test_the_mask_may_not_change_between_the_passes():
    module, mask = nnmod.MaskedSelect(), np.array([True, False, True])
    y = module.forward([float32(3), mask])
    mask[0] = False
    with pytest.raises(RuntimeError, match="the mask has changed since forward"):
        module.updateGradInput(module._input, y)


def test_kernels_do_not_depend_on_the_number_of_threads():
    if kernels.backend_name() != "cpu":
        pytest.skip("the reference kernels leave threads to NumPy")
    rng = np.random.default_rng(0)
    image = rng.standard_normal((16, 16, 100, 100)).astype(np.float32)
    before, results = nnmod.getnumthreads(), []
    try:
        for count in (1, 3):
            nnmod.setnumthreads(count)
            made = []
            for module in (nnmod.Transpose((1, 3)), nnmod.SpatialReflectionPadding(3), nnmod.Replicate(2, 1)):
                y = module.forward(image)
                made += [y.copy(), module.backward(image, y.copy()).copy()]
            results.append(made)
    finally:
        nnmod.setnumthreads(before)
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)
