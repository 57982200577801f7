"""Images looked at through a grid: AffineGridGeneratorBHWD, BilinearSamplerBHWD (Jaderberg et al., 2015).

Places are (y, x) with -1 at the first pixel and 1 at the last; images have their channels last.
"""
from . import check, geometry, kernels, tensor
from .errors import ShapeError
from .module import Module


class AffineGridGeneratorBHWD(Module):
    """A grid of places, moved by an affine map: ``(y', x') = T (y, x, 1)``.

    Parameters
    ----------
    height, width : int
        Sizes of the grid, 2 or more.

    Shapes
    ------
    input   (N, 2, 3) or (2, 3): the maps T
    output  (N, height, width, 2), or without N

    Raises ShapeError for another shape.  Source: nn.AffineGridGeneratorBHWD of stn, on Torch7.

    >>> import numpy as np
    >>> T = np.array([[1, 0, 0], [0, 0.5, 0.5]])
    >>> AffineGridGeneratorBHWD(2, 2).double().forward(T)[0]
    array([[-1.,  0.],
           [-1.,  1.]])
    """

    paramNames = ()
    backwardNeeds = frozenset()

    def __init__(self, height, width):
        super().__init__()
        check.positive(height=height, width=width)
        if min(height, width) < 2:
            raise ValueError(f"height and width must be 2 or more, got {height} and {width}")
        self.height = height
        self.width = width

    def updateOutput(self, input):
        input = self.takeInput(input)
        maps = check.batched("input", input, "N", 2, 3)
        check.floating("input", input)
        output = self.resize("output", (*input.shape[:-2], self.height, self.width, 2), like=input)
        kernels.of(input).affine_grid_update_output(maps, geometry.with_batch(output, 4))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).affine_grid_update_grad_input(
            geometry.with_batch(gradOutput, 4), geometry.with_batch(gradInput, 3))
        return gradInput

    def describe(self):
        return f"{self.height} x {self.width}"


class BilinearSamplerBHWD(Module):
    """Images at the places of a grid, between pixels linear in y and in x; 0 around them.

    Shapes
    ------
    input   a table: images (N, H, W, C) and places (N, h, w, 2), or both without N
    output  (N, h, w, C), or without N

    A place that is NaN gives NaN, and an infinite one 0.  Raises ShapeError where the two
    do not fit.  Source: nn.BilinearSamplerBHWD of stn, on Torch7.

    >>> import numpy as np
    >>> image = np.array([1.0, 3.0, 1.0, 3.0]).reshape(2, 2, 1)
    >>> BilinearSamplerBHWD().double().forward([image, np.zeros((1, 1, 2))])
    array([[[2.]]])
    """

    paramNames = ()
    bufferNames = ("_parts",)
    backwardNeeds = frozenset({"input"})

    def __init__(self):
        super().__init__()
        self._parts = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        images, places = input
        check.batched("input[0]", images, "N", "H", "W", "C")
        check.batched("input[1]", places, "N", "h", "w", 2)
        check.floating("input[0]", images)
        K = kernels.of(images, places)
        if images.shape[:-3] != places.shape[:-3]:
            raise ShapeError(f"there must be a grid for each image, got {images.shape} and {places.shape}")
        if 0 in images.shape[-3:-1]:
            raise ShapeError(f"an image must have pixels, got {images.shape}")
        output = self.resize("output", (*places.shape[:-1], images.shape[-1]), like=images)
        K.sample_bilinear_update_output(*(geometry.with_batch(t, 4) for t in (images, places, output)))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        parts = self._parts or [None, None]
        self._parts = [tensor.resize(part, x.shape, x) for part, x in zip(parts, input)]
        self.gradInput = list(self._parts)
        kernels.of(gradOutput).sample_bilinear_update_grad_input(
            *(geometry.with_batch(t, 4) for t in (*input, gradOutput, *self._parts)))
        return self.gradInput
