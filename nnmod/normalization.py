"""Normalisation over the batch, or of each row.

BatchNormalization, SpatialBatchNormalization, VolumetricBatchNormalization,
InstanceNormalization, LayerNormalization, Normalize.
"""
from . import check, geometry, init, kernels, random, tensor
from .errors import ShapeError
from .module import Module


class _BatchNormalization(Module):
    """Normalise each channel over the batch and all positions; a subclass names the positions."""

    stateNames = ("running_mean", "running_var")
    bufferNames = ("_mean", "_invstd", "_ofBatch")
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False
    _positions = ()

    def __init__(self, nOutput, eps=1e-5, momentum=0.1, affine=True):
        super().__init__()
        check.number(low=0, eps=eps)
        check.number(low=0, high=1, momentum=momentum)
        check.boolean(affine=affine)
        self.nOutput = nOutput
        self.eps = eps
        self.momentum = momentum
        self.affine = bool(affine)
        self.weight = self.bias = self.gradWeight = self.gradBias = None
        self.running_mean = self.running_var = None
        # Of the last forward: what it normalised with, and whether that came from the batch.
        self._mean = self._invstd = self._ofBatch = None
        if nOutput is not None:
            check.positive(nOutput=nOutput)
            self._allocate()

    def _allocate(self):
        like, shape = self._type, (self.nOutput,)
        self.running_mean = tensor.empty(shape, like)
        self.running_var = tensor.empty(shape, like)
        if self.affine:
            self.weight = tensor.empty(shape, like)
            self.bias = tensor.empty(shape, like)
            self.gradWeight = tensor.zeros(shape, like)
            self.gradBias = tensor.zeros(shape, like)
        self.reset()

    @property
    def sizesKnown(self):
        """False until nOutput is given or inferred."""
        return self.running_mean is not None

    def reset(self, stdv=None):
        """Draw weight from U(0, 1), bias = 0, running mean 0 and variance 1; *stdv* has no say here."""
        if self.sizesKnown:
            if self.affine:
                random.uniform(self.weight)
                init.constant(self.bias, 0)
            init.constant(self.running_mean, 0)
            init.constant(self.running_var, 1)
        return self

    def updateOutput(self, input):
        return self.compute(self, self.takeInput(input))

    def compute(self, owner, input, rectify=False):
        """The output, with *rectify* that of a ReLU behind it, in a buffer of *owner*: this module, or a Fused."""
        x = check.batched("input", input, "N", self.nOutput or "nOutput", *self._positions)
        if not self.sizesKnown:
            check.type_is("input", input, self._type)
            if x.shape[1] == 0:
                raise ShapeError(f"input must have at least one channel, got {input.shape}")
            self.nOutput = x.shape[1]
            self._allocate()
        self._checkTensors()
        K = kernels.of(input, self.weight, self.bias, self.running_mean, self.running_var)
        output = owner.resize("output", input.shape, like=input)
        mean = self.resize("_mean", (self.nOutput,), like=input)
        invstd = self.resize("_invstd", (self.nOutput,), like=input)
        x = self._channels(x)
        # One value has no variance, and none has not even a mean.
        self._ofBatch = self.train and x.shape[0] * x.shape[2] > 1
        if self._ofBatch and self.momentum:
            self.keepState()
        else:
            self._stateMoved = False
        K.batch_norm_update_output(x, self.weight, self.bias, self.running_mean, self.running_var,
                                   self._channels(output), mean, invstd,
                                   self._ofBatch, self.momentum, self.eps, rectify)
        return output

    def rectifiedGradients(self, input, output, gradOutput, wantsInput, wantsParameters, scale=1.0):
        """Of compute with *rectify*: gradInput, or None if it is not wanted; the parameters' gradients are added to."""
        K = kernels.of(input, gradOutput, self.weight, self._mean)
        self.gradInput = self.resize("gradInput", input.shape, like=input) if wantsInput else None
        grads = (self.gradWeight, self.gradBias) if wantsParameters else (None, None)
        K.batch_norm_relu_backward(*map(self._channels, (input, output, gradOutput)), self.weight, self._mean,
                                   self._invstd, self._channels(self.gradInput) if wantsInput else None, *grads,
                                   self._ofBatch, scale)
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.weight, self._mean)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K.batch_norm_update_grad_input(self._channels(input), self._channels(gradOutput), self.weight,
                                       self._mean, self._invstd, self._channels(gradInput), self._ofBatch)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.affine:
            K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias, self._mean)
            K.batch_norm_acc_grad_parameters(self._channels(input), self._channels(gradOutput),
                                             self._mean, self._invstd, self.gradWeight, self.gradBias, scale)

    def line(self, owner):
        """What this module does in evaluation mode, as a normalisation for kernels, in a buffer of *owner*: a Fused."""
        self._checkTensors()
        mean, var = self.running_mean, self.running_var
        norm = owner.resize("_norm", (3, self.nOutput), like=mean)
        kernels.of(mean, var, self.weight, self.bias).norm_of_statistics(
            self.weight, self.bias, mean, var, norm, self.eps)
        return norm

    def _checkTensors(self):
        check.parameters(self, weight=(self.nOutput,), bias=(self.nOutput,))
        check.shape("running_mean", self.running_mean, self.nOutput)
        check.shape("running_var", self.running_var, self.nOutput)

    def _channels(self, value):
        """*value* as (N, C, S): a view."""
        value = geometry.with_batch(value, 2 + len(self._positions))
        N, C, *size = value.shape
        S = 1
        for n in size:
            S *= n
        return value.reshape(N, C, S)

    def describe(self):
        text = f"{self.nOutput or '?'}"
        if (self.eps, self.momentum) != (1e-5, 0.1):
            text += f", eps {self.eps:g}, momentum {self.momentum:g}"
        return text + ("" if self.affine else ", not affine")


class BatchNormalization(_BatchNormalization):
    """``y = (x - mean) / sqrt(var + eps) * weight + bias``, each feature over the batch.

    In training mean and variance are those of the batch, and running ones move
    towards them; in evaluation the running ones are used.

    Parameters
    ----------
    nOutput : int or None
        Features of a row; None takes it from the first input.
    eps : float
        Added to the variance.
    momentum : float
        How far the running statistics move at each forward in training:
        ``r = (1 - momentum) * r + momentum * new``; 0 leaves them as they are.
    affine : bool
        False leaves weight and bias out: both and their gradients are then None.

    Shapes
    ------
    input         (N, nOutput) or (nOutput,)
    output        the same as input
    weight, bias  (nOutput,), gradWeight and gradBias the same
    running_mean, running_var  (nOutput,)

    The batch is normalised with its biased variance, and running_var keeps the
    unbiased one.  One value has no variance: a batch of one is normalised with the
    running statistics, which stay as they are.  backward works in the mode that
    forward ran in.  Raises ShapeError for another number of features.  Source:
    Torch7's nn.BatchNormalization (Ioffe and Szegedy, 2015).

    >>> BatchNormalization(4)
    BatchNormalization(4)
    >>> import numpy as np
    >>> norm = BatchNormalization(2, affine=False)
    >>> norm.forward(np.array([[1, 10], [3, 30]], np.float32)).round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> norm.running_mean  # 0.1 times the means 2 and 20
    array([0.2, 2. ], dtype=float32)
    """


class SpatialBatchNormalization(_BatchNormalization):
    """``y = (x - mean) / sqrt(var + eps) * weight + bias``, each channel over batch and image.

    Parameters
    ----------
    nOutput : int or None
        Channels of the input; None takes it from the first input.
    eps, momentum, affine
        As in BatchNormalization.

    Shapes
    ------
    input         (N, nOutput, H, W) or (nOutput, H, W)
    output        the same as input
    weight, bias  (nOutput,), gradWeight and gradBias the same
    running_mean, running_var  (nOutput,)

    Variances, modes and a channel with a single value are as in BatchNormalization.
    Raises ShapeError for another number of channels.  Source: Torch7's
    nn.SpatialBatchNormalization.

    >>> SpatialBatchNormalization(3, affine=False)
    SpatialBatchNormalization(3, not affine)
    >>> import numpy as np
    >>> norm = SpatialBatchNormalization(1, affine=False)
    >>> norm.forward(np.array([[[[1, 3]]]], np.float32)).round(3)
    array([[[[-1.,  1.]]]], dtype=float32)
    """

    _positions = ("H", "W")


class VolumetricBatchNormalization(_BatchNormalization):
    """``y = (x - mean) / sqrt(var + eps) * weight + bias``, each channel over batch and volume.

    Parameters
    ----------
    nOutput : int or None
        Channels of the input; None takes it from the first input.
    eps, momentum, affine
        As in BatchNormalization.

    Shapes
    ------
    input         (N, nOutput, T, H, W) or (nOutput, T, H, W)
    output        the same as input
    weight, bias  (nOutput,), gradWeight and gradBias the same
    running_mean, running_var  (nOutput,)

    Variances, modes and a channel with a single value are as in BatchNormalization.
    Raises ShapeError for another number of channels.  Source: Torch7's
    nn.VolumetricBatchNormalization.

    >>> import numpy as np
    >>> norm = VolumetricBatchNormalization(1, affine=False)
    >>> norm.forward(np.array([1, 3], np.float32).reshape(1, 1, 1, 1, 2)).ravel().round(3)
    array([-1.,  1.], dtype=float32)
    >>> norm.running_mean
    array([0.2], dtype=float32)
    """

    _positions = ("T", "H", "W")


class InstanceNormalization(Module):
    """``y = (x - mean) / sqrt(var + eps) * weight + bias``, each channel of each image by itself.

    Mean and variance are those of the image, in training and in evaluation: nothing is
    kept from one forward to the next.

    Parameters
    ----------
    nOutput : int
        Channels of the input.
    eps : float
        Added to the variance.
    affine : bool
        False leaves weight and bias out: both and their gradients are then None.

    Shapes
    ------
    input         (N, nOutput, H, W) or (nOutput, H, W)
    output        the same as input
    weight, bias  (nOutput,), gradWeight and gradBias the same

    The variance is the biased one, and that of a single pixel is 0.  Raises ShapeError for
    another number of channels.  Source: nn.InstanceNormalization of texture_nets and
    fast-neural-style, on Torch7 (Ulyanov et al., 2016).

    >>> import numpy as np
    >>> norm = InstanceNormalization(1, affine=False)
    >>> norm.forward(np.array([[[[1, 3]]], [[[10, 30]]]], np.float32)).round(3).ravel()
    array([-1.,  1., -1.,  1.], dtype=float32)
    """

    bufferNames = ("_mean", "_invstd", "_weights", "_biases")
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self, nOutput, eps=1e-5, affine=True):
        super().__init__()
        if nOutput is not None:
            check.positive(nOutput=nOutput)
        check.number(low=0, eps=eps)
        check.boolean(affine=affine)
        self.nOutput = nOutput
        self.eps = eps
        self.affine = bool(affine)
        self.weight = self.bias = self.gradWeight = self.gradBias = None
        self._mean = self._invstd = self._weights = self._biases = None
        if affine and nOutput is not None:
            like, shape = self._type, (nOutput,)
            self.weight, self.bias = tensor.empty(shape, like), tensor.empty(shape, like)
            self.gradWeight, self.gradBias = tensor.zeros(shape, like), tensor.zeros(shape, like)
            self.reset()

    def reset(self, stdv=None):
        """Draw weight from U(0, 1), bias = 0; *stdv* has no say here."""
        if self.affine:
            random.uniform(self.weight)
            init.constant(self.bias, 0)
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.nOutput, "H", "W")
        check.floating("input", input)
        check.parameters(self, weight=(self.nOutput,), bias=(self.nOutput,))
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", input.shape, like=input)
        mean = self.resize("_mean", (len(x) * self.nOutput,), like=input)
        invstd = self.resize("_invstd", mean.shape, like=input)
        weights, biases = self._repeated("_weights", self.weight), self._repeated("_biases", self.bias)
        if input.size:
            # With a momentum of 0 the running statistics are neither read nor written.
            K.batch_norm_update_output(self._channels(input), weights, biases, mean, invstd,
                                       self._channels(output), mean, invstd, True, 0, self.eps)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.weight, self._mean)
        gradInput = self.resize("gradInput", input.shape, like=input)
        if input.size:
            K.batch_norm_update_grad_input(self._channels(input), self._channels(gradOutput),
                                           self._repeated("_weights", self.weight), self._mean, self._invstd,
                                           self._channels(gradInput), True)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if not self.affine or not input.size:
            return
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias, self._mean)
        C = self.nOutput
        x, dy = self._channels(input), self._channels(gradOutput)
        for image in range(0, x.shape[1], C):
            part = slice(image, image + C)
            K.batch_norm_acc_grad_parameters(x[:, part], dy[:, part], self._mean[part], self._invstd[part],
                                             self.gradWeight, self.gradBias, scale)

    def _channels(self, value):
        """*value* as one image of all channels, (1, N C, H W): a view."""
        H, W = value.shape[-2:]
        return value.reshape(1, value.size // (H * W), H * W)

    def _repeated(self, name, parameter):
        """*parameter* once for each image, None where there is none."""
        if parameter is None:
            return None
        repeated = self.resize(name, self._mean.shape, like=parameter)
        tensor.copy(parameter, repeated.reshape(-1, self.nOutput))
        return repeated

    def describe(self):
        return f"{self.nOutput}" + (f", eps {self.eps:g}" if self.eps != 1e-5 else "") + (
            "" if self.affine else ", not affine")


class LayerNormalization(Module):
    """``y = sqrt(F) (x - mean) / sqrt(sum((x - mean)**2) + eps) * weight + bias``, row by row.

    Parameters
    ----------
    nOutput : int
        Features of a row, F.
    bias : float or None
        What every element of bias starts from; None is 0.
    eps : float
        Added to the sum of squares (not to their mean).
    affine : bool
        False leaves weight and bias out: both and their gradients are then None.

    Shapes
    ------
    input         (..., nOutput)
    output        the same as input
    weight, bias  (nOutput,), gradWeight and gradBias the same

    Raises ShapeError for another number of features.  Source: Torch7's
    nn.LayerNormalization (Ba, Kiros and Hinton, 2016).

    >>> import numpy as np
    >>> LayerNormalization(2).forward(np.array([[1, 3], [10, 30]], np.float32)).round(3)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    bufferNames = ("_mean", "_factor")
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self, nOutput, bias=None, eps=1e-10, affine=True):
        super().__init__()
        check.positive(nOutput=nOutput)
        check.number(low=0, eps=eps)
        if bias is not None:
            check.number(bias=bias)
        check.boolean(affine=affine)
        self.nOutput = nOutput
        self.eps = eps
        self.affine = bool(affine)
        self.initialBias = 0 if bias is None else bias
        self.weight = self.bias = self.gradWeight = self.gradBias = None
        self._mean = self._factor = None
        if affine:
            like, shape = self._type, (nOutput,)
            self.weight = tensor.empty(shape, like)
            self.bias = tensor.empty(shape, like)
            self.gradWeight = tensor.zeros(shape, like)
            self.gradBias = tensor.zeros(shape, like)
            self.reset()

    def reset(self, stdv=None):
        """Set weight to 1 and bias to its start; *stdv* has no say here."""
        if self.affine:
            init.constant(self.weight, 1)
            init.constant(self.bias, self.initialBias)
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = self._rows(input)
        check.parameters(self, weight=(self.nOutput,), bias=(self.nOutput,))
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", input.shape, like=input)
        mean = self.resize("_mean", x.shape[:1], like=input)
        factor = self.resize("_factor", x.shape[:1], like=input)
        K.layer_norm_update_output(x, self.weight, self.bias, output.reshape(x.shape), mean, factor, self.eps)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        x = self._rows(input)
        K.layer_norm_update_grad_input(x, gradOutput.reshape(x.shape), self.weight, self._mean, self._factor,
                                       gradInput.reshape(x.shape))
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.affine:
            K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
            x = self._rows(input)
            K.layer_norm_acc_grad_parameters(x, gradOutput.reshape(x.shape), self._mean, self._factor,
                                             self.gradWeight, self.gradBias, scale)

    def _rows(self, input):
        """*input* as (N, nOutput): a view."""
        check.floating("input", input)
        if input.ndim == 0 or input.shape[-1] != self.nOutput:
            raise ShapeError(f"input must have shape (..., {self.nOutput}), got {input.shape}")
        return input.reshape(input.size // self.nOutput, self.nOutput)

    def describe(self):
        return f"{self.nOutput}" + (f", eps {self.eps:g}" if self.eps != 1e-10 else "") + (
            "" if self.affine else ", not affine")


class Normalize(Module):
    """``y = x / (sum(|x|**p) + eps)**(1 / p)``, row by row; for infinite p, ``x / (max(|x|) + eps)``.

    Parameters
    ----------
    p : float
        Which norm, > 0; math.inf is the largest absolute value.
    eps : float
        Keeps a row of zeros finite.

    Shapes
    ------
    input   (N, F) or (F,)
    output  the same as input

    Source: Torch7's nn.Normalize.

    >>> import numpy as np
    >>> Normalize(2).forward(np.array([[3, 4], [0, 2]], np.float32)).round(3)
    array([[0.6, 0.8],
           [0. , 1. ]], dtype=float32)
    """

    paramNames = ()
    bufferNames = ("norm",)
    backwardNeeds = frozenset({"input"})

    def __init__(self, p, eps=1e-10):
        super().__init__()
        check.number(p=p)
        if p <= 0:
            raise ValueError(f"p must be > 0, got {p}")
        check.number(low=0, eps=eps)
        self.p = p
        self.eps = eps
        self.norm = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", "F")
        K = kernels.of(input)
        output = self.resize("output", input.shape, like=input)
        norm = self.resize("norm", x.shape[:1], like=input)
        K.normalize_update_output(x, geometry.with_batch(output, 2), norm, self.p, self.eps)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K.normalize_update_grad_input(*(geometry.with_batch(t, 2) for t in (input, gradOutput)), self.norm,
                                      geometry.with_batch(gradInput, 2), self.p)
        return gradInput

    def describe(self):
        return f"{self.p:g}" + (f", eps {self.eps:g}" if self.eps != 1e-10 else "")
