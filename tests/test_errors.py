"""What a user reads when something is wrong: the exact words, the path, and nothing changed."""
import numpy as np
import pytest

import nnmod


def float32(*shape):
    return np.zeros(shape, np.float32)


def deep_net():
    return nnmod.Sequential(
        nnmod.Linear(12, 12),
        nnmod.Concat(1, nnmod.Sequential(nnmod.Tanh(), nnmod.Linear(7, 5)), nnmod.Identity()))


def test_wrong_width_names_what_must_hold_what_came_and_where():
    net = deep_net()
    with pytest.raises(nnmod.ShapeError) as caught:
        net.forward(float32(3, 12))
    assert str(caught.value) == "input must have shape (N, 7) or (7,), got (3, 12)"
    assert caught.value.__notes__ == [
        "in module: Sequential[1] > Concat[0] > Sequential[1] > Linear(7 -> 5).forward, given float32 (3, 12)"]


def test_backward_names_the_path_too():
    class Broken(nnmod.Tanh):
        def updateGradInput(self, input, gradOutput):
            raise ZeroDivisionError("boom")

    net = nnmod.Sequential(nnmod.Linear(4, 4), nnmod.Sequential(nnmod.Tanh(), Broken()), nnmod.Linear(4, 2))
    net.forward(float32(3, 4))
    with pytest.raises(ZeroDivisionError) as caught:
        net.backward(net._given, float32(3, 2))
    assert caught.value.__notes__ == [
        "in module: Sequential[1] > Sequential[1] > Broken().backward, given float32 (3, 4)"]


@pytest.mark.parametrize("call, kind, text", [
    (lambda: nnmod.Linear(4, 2).forward(np.zeros((3, 4))), TypeError,
     "tensors must share one device and one dtype, got cpu.float64 (3, 4) and cpu.float32 (2, 4); "
     "convert the module with .float() or .double(), or the tensor with .astype"),
    (lambda: nnmod.Linear(4, 2).forward([[1.0, 2.0]]), TypeError,
     "input must be a tensor (numpy.ndarray), got list; use np.asarray(..., np.float32)"),
    (lambda: nnmod.ReLU().forward(np.arange(3)), TypeError,
     "input must be float32 or float64, got int64; convert it with .astype(np.float32)"),
    (lambda: nnmod.Linear(4, 2).backward(float32(4), float32(2)), RuntimeError,
     "backward before forward: call forward(input) first"),
    (lambda: nnmod.Linear(None, 2).parameters(), RuntimeError,
     "Linear(? -> 2) does not know its sizes yet: run forward once, or give the size when you make it"),
    (lambda: nnmod.Linear(None, 2).forward(np.zeros((1, 3))), TypeError,
     "input must be float32 like the module, got float64; "
     "convert the module with .float() or .double(), or the tensor with .astype"),
    (lambda: nnmod.Linear(None, 2).forward(float32(3, 0)), nnmod.ShapeError,
     "input must have at least one feature, got (3, 0)"),
    (lambda: nnmod.LinearWeightNorm(None, 2).forward(float32(3, 0)), nnmod.ShapeError,
     "input must have at least one feature, got (3, 0)"),
    (lambda: nnmod.Convert("bt", "b").forward(float32(3, 0)), nnmod.ShapeError,
     "input must have at least one entry to take the first of, got shape (3, 0)"),
    (lambda: nnmod.Linear(0, 2), ValueError, "inputSize must be an int > 0, got 0"),
    (lambda: nnmod.Linear(2, 3.0), ValueError, "outputSize must be an int > 0, got 3.0"),
    (lambda: nnmod.Linear(2, 3, 4), ValueError, "bias must be True or False, got 4"),
    (lambda: nnmod.Dropout(1), ValueError, "p must be within 0 <= p < 1, got 1"),
    (lambda: nnmod.HardTanh(1, 1), ValueError, "min_value must be < max_value, got 1 and 1"),
    (lambda: nnmod.View(0), ValueError, "sizes must be ints > 0 and at most one -1, got (0,)"),
    (lambda: nnmod.View(-1, -1), ValueError,
     "sizes must name at least one size, and at most one -1, got (-1, -1)"),
    (lambda: nnmod.View(5).forward(float32(3, 4)), nnmod.ShapeError,
     "input must hold a multiple of 5 elements to be viewed as (5,), got shape (3, 4)"),
    (lambda: nnmod.SoftMax().forward(float32(1, 2, 3, 4, 5)), nnmod.ShapeError,
     "input must have shape (C,), (N, C), (C, H, W) or (N, C, H, W), got (1, 2, 3, 4, 5)"),
    (lambda: nnmod.JoinTable(1).forward(float32(2, 2)), TypeError,
     "input must be a table (a list of tensors), got float32 (2, 2)"),
    (lambda: nnmod.JoinTable(1).forward([float32(2, 2), float32(3, 2)]), nnmod.ShapeError,
     "entry 1 must have shape (2, n1), got (3, 2)"),
    (lambda: nnmod.JoinTable(2).forward([float32(2, 2)]), nnmod.ShapeError,
     "dimension 2 does not exist in a tensor of 2 dimensions (counted from 0)"),
    (lambda: nnmod.CAddTable().forward([float32(2), float32(3)]), nnmod.ShapeError,
     "input[1] must have as many elements as input[0], (2,), got (3,)"),
    (lambda: nnmod.CAddTable().forward([]), nnmod.ShapeError,
     "input must be a table of at least one tensor, got an empty one"),
    (lambda: nnmod.Concat(1).forward(float32(2, 2)), RuntimeError,
     "Concat has no modules: add some before forward"),
    (lambda: nnmod.Sequential(nnmod.Linear), TypeError,
     "a container takes modules, got <class 'nnmod.linear.Linear'>; make an instance of it first"),
    (lambda: nnmod.Linear(2, 2).type("float16"), ValueError,
     "type must be one of float32, float64, cpu.float32, cpu.float64, cuda.float32, cuda.float64, got 'float16'"),
    (lambda: nnmod.Linear(2, 2).clone("wieght"), ValueError,
     "Linear(2 -> 2) has no tensor named 'wieght' to share"),
    (lambda: nnmod.manualSeed("x"), ValueError, "seed must be an int, got 'x'"),
    (lambda: nnmod.Module().forward(float32(1)), NotImplementedError,
     "Module must define updateOutput(input)"),
], ids=lambda part: None if callable(part) and not isinstance(part, type) else str(part))
def test_message(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text


@pytest.mark.parametrize("target, kind, text", [
    (np.array([0, 10, 1]), IndexError, "target[1] is 10, but classes are 0..9 (nnmod counts from 0; "
                                       "Torch7 files are converted on load)"),
    (np.array([0, 1, -1]), IndexError, "target[2] is -1, but classes are 0..9 (nnmod counts from 0; "
                                       "Torch7 files are converted on load)"),
    (np.array([0, 1]), nnmod.ShapeError, "target must have shape (3,), one class for each row, got (2,)"),
    (np.array([0.0, 1.0, 2.0]), TypeError, "target must hold class numbers of int32 or int64, got float64"),
    ([0, 1, 2], TypeError,
     "target must be a tensor (numpy.ndarray), got list; use np.asarray(..., np.int64)"),
], ids=["high", "negative", "short", "float", "list"])
@pytest.mark.parametrize("criterion", [nnmod.ClassNLLCriterion, nnmod.CrossEntropyCriterion])
def test_class_targets(criterion, target, kind, text):
    criterion = criterion()
    for call in (criterion.forward, criterion.backward):
        with pytest.raises(kind) as caught:
            call(float32(3, 10), target)
        assert str(caught.value) == text
    assert criterion.gradInput is None


def test_an_average_over_nothing_is_refused_in_words():
    for criterion, target in ((nnmod.MSECriterion(), float32(0, 3)), (nnmod.ClassNLLCriterion(), np.zeros(0, int))):
        with pytest.raises(nnmod.ShapeError, match="an average over no"):
            criterion.forward(float32(0, 3), target)
    assert nnmod.MSECriterion(sizeAverage=False).forward(float32(0, 3), float32(0, 3)) == 0


def test_backward_with_another_input_or_a_changed_shape():
    module = nnmod.Linear(3, 2)
    x, dy = float32(4, 3), float32(4, 2)
    module.forward(x)
    module.backward(x.copy(), dy)  # equal numbers: the same input
    with pytest.raises(RuntimeError) as caught:
        module.backward(x + 1, dy)
    assert str(caught.value) == (
        "backward needs the input of the last forward: that was float32 (4, 3), this is float32 (4, 3) "
        "with other values; call forward with this input first")
    with pytest.raises(nnmod.ShapeError) as caught:
        module.backward(x, float32(3, 2))
    assert str(caught.value) == "gradOutput must have the shape of output, (4, 2), got (3, 2)"
    with pytest.raises(TypeError) as caught:
        module.backward(x, np.zeros((4, 2)))
    assert str(caught.value) == "gradOutput must have the dtype of output, float32, got float64"
    assert not module.gradWeight.any()


def test_the_verbs_by_hand_check_shapes():
    """Kernels do not check bounds, so a wrong shape must never reach them."""
    module = nnmod.Linear(3, 2)
    module.forward(float32(4, 3))
    for verb in (module.updateGradInput, module.accGradParameters):
        with pytest.raises(nnmod.ShapeError):
            verb(float32(4, 3), float32(400, 2))
        with pytest.raises(nnmod.ShapeError):
            verb(float32(400, 3), float32(4, 2))


def test_a_gradient_table_of_another_structure():
    module = nnmod.ConcatTable(nnmod.Linear(3, 2), nnmod.Tanh())
    x = float32(4, 3)
    module.forward(x)
    with pytest.raises(nnmod.ShapeError) as caught:
        module.backward(x, float32(4, 2))
    assert str(caught.value) == ("gradOutput must be a table like output, [float32 (4, 2), float32 (4, 3)], "
                                 "got float32 (4, 2)")
    with pytest.raises(nnmod.ShapeError) as caught:
        module.backward(x, [float32(4, 2), float32(4, 2)])
    assert str(caught.value) == "gradOutput[1] must have the shape of output[1], (4, 3), got (4, 2)"


def test_one_module_holds_one_position():
    module = nnmod.Linear(3, 3)
    with pytest.raises(ValueError) as caught:
        nnmod.Sequential(module, nnmod.Sequential(module))
    assert str(caught.value) == (
        "Linear(3 -> 3) is already in this container, and one module holds one position; to use its "
        'weights twice, add m.clone("weight", "bias", "gradWeight", "gradBias")')


def test_in_place_modules_are_refused_where_they_would_destroy():
    with pytest.raises(ValueError) as caught:
        nnmod.Sequential(nnmod.Linear(3, 3), nnmod.Tanh(), nnmod.View(3), nnmod.ReLU(True))
    assert str(caught.value) == (
        "ReLU(in place) works in place and would overwrite the output of Tanh(), which that module's "
        "backward needs; use inplace=False")
    for branching in (lambda m: nnmod.Concat(1, m), lambda m: nnmod.ConcatTable(m)):
        for first in (nnmod.ReLU(True), nnmod.Sequential(nnmod.Identity(), nnmod.ReLU(True))):
            with pytest.raises(ValueError, match="would overwrite the input that the other branches"):
                branching(first)
    nnmod.Sequential(nnmod.Linear(3, 3), nnmod.ReLU(True), nnmod.Linear(3, 3))  # nothing is lost here


def test_a_refused_child_leaves_the_container_as_it_was():
    net = nnmod.Sequential(nnmod.Tanh())
    for wrong in (nnmod.ReLU(True), 3):
        with pytest.raises((ValueError, TypeError)):
            net.add(wrong)
    assert len(net) == 1


def test_shared_weights_without_shared_gradients():
    first = nnmod.Linear(3, 3)
    net = nnmod.Sequential(first, first.clone("weight"))
    with pytest.raises(ValueError) as caught:
        net.getParameters()
    assert str(caught.value) == ("a parameter is shared but its gradient is not (or the reverse): share both, "
                                 'as clone("weight", "gradWeight") does')


def test_share_binds_all_or_nothing():
    net = nnmod.Sequential(nnmod.Linear(3, 3), nnmod.Linear(3, 2))
    other = nnmod.Sequential(nnmod.Linear(3, 3), nnmod.Linear(3, 4))
    before = net.parameters()[0]
    with pytest.raises(ValueError, match="cannot share 'weight' of Linear"):
        net.share(other, "weight")
    assert all(a is b for a, b in zip(before, net.parameters()[0]))


def test_elementwise_tool_refuses_shapes_that_would_run_out_of_bounds():
    add = nnmod.kernels.elementwise(lambda a, b: a + b)
    with pytest.raises(ValueError, match=r"tensors must have one shape, got \(3,\) and \(4,\)"):
        add(np.zeros(3), np.zeros(4), np.zeros(3))
    with pytest.raises(TypeError, match="takes 3 arguments, got 2"):
        add(np.zeros(3), np.zeros(3))
    with pytest.raises(TypeError, match="float32 or float64"):
        add(np.arange(3), np.arange(3), np.arange(3))


def test_a_forward_that_fails_further_on_leaves_running_statistics_as_they_were():
    def net():
        return nnmod.Sequential(
            nnmod.Linear(3, 4), nnmod.BatchNormalization(4),
            nnmod.Concat(1, nnmod.Sequential(nnmod.BatchNormalization(4), nnmod.Linear(4, 2)), nnmod.Linear(5, 2)))

    broken = net()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 3)).astype(np.float32)
    with pytest.raises(nnmod.ShapeError):
        broken.forward(x)
    for norm in broken.findModules(nnmod.BatchNormalization)[0]:
        assert not norm.running_mean.any() and (norm.running_var == 1).all()
    # What an earlier pass did stays done.
    broken.modules[2].modules[1] = nnmod.Linear(4, 2)
    broken.forward(x)
    moved = [norm.running_mean.copy() for norm in broken.findModules(nnmod.BatchNormalization)[0]]
    assert all(mean.any() for mean in moved)
    for wrong in (np.zeros((6, 5), np.float32), x.astype(np.float64), np.zeros((1, 2, 3), np.float32)):
        with pytest.raises((nnmod.ShapeError, TypeError)):
            broken.forward(wrong)
    broken.evaluate().forward(x)
    broken.training().modules[2].modules[1] = nnmod.Linear(5, 2)
    with pytest.raises(nnmod.ShapeError):
        broken.forward(2 * x)
    for norm, mean in zip(broken.findModules(nnmod.BatchNormalization)[0], moved):
        np.testing.assert_array_equal(norm.running_mean, mean)


@pytest.mark.parametrize("make, x", [
    (lambda: nnmod.Linear(3, 2), float32(4, 3)),
    (lambda: nnmod.SpatialConvolution(3, 2, 2, 2), float32(1, 3, 4, 4)),
    (lambda: nnmod.BatchNormalization(3), float32(4, 3)),
], ids=["Linear", "SpatialConvolution", "BatchNormalization"])
def test_a_parameter_that_was_replaced_by_another_size_never_reaches_a_kernel(make, x):
    for name in ("weight", "gradWeight", "bias", "gradBias"):
        module = make()
        shape = getattr(module, name).shape
        setattr(module, name, np.zeros((*shape[:-1], 7), np.float32))
        with pytest.raises(nnmod.ShapeError) as caught:
            module.forward(x)
        assert str(caught.value).startswith(f"{name} must have shape {shape}, got")
    module = make()
    module.weight = np.zeros((*module.weight.shape, 2), np.float32)[..., 0]
    with pytest.raises(ValueError) as caught:
        module.forward(x)
    assert str(caught.value) == "weight must be C-contiguous and writable; use np.ascontiguousarray"
