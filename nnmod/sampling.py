"""Images at places and in regions: AffineGridGeneratorBHWD, BilinearSamplerBHWD, ROIPooling.

Places of a grid (Jaderberg et al., 2015) are (y, x) with -1 at the first pixel and 1 at the last;
images that are sampled there have their channels last.
"""
import numpy as np

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


class ROIPooling(Module):
    """The maxima of regions of images, each region cut into the same number of bins.

    Parameters
    ----------
    W, H : int
        Bins along a region's width and height.
    spatial_scale : float
        What the edges of regions are multiplied by: the pixels of the input for each pixel
        of the picture that they are measured in.
    v2 : bool
        As the second version of the layer: the last column and row are no part of a region,
        and bins are cut where their borders round to.  False: they are, and a bin takes every
        element that it touches.

    Shapes
    ------
    input   a table: features (N, C, h, w), and regions (R, 5), each the number of its image
            and its left, top, right and bottom edge, all counted from 0; of the features' type,
            or int32 or int64
    output  (R, C, H, W)

    A region with nothing of the image in a bin has 0 there; a smaller one than a pixel counts
    as a pixel.  The regions' gradient is 0, that of whole ones None.  Raises ShapeError for
    other shapes, IndexError for an image that is not there, ValueError for edges that are no
    numbers.  Source: inn.ROIPooling of imagine-nn, on Torch7 (Girshick, "Fast R-CNN", 2015).

    >>> import numpy as np
    >>> pixels = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> ROIPooling(2, 1).double().forward([pixels, np.array([[0.0, 0, 0, 4, 2]])])
    array([[[[5., 7.]]]])
    """

    paramNames = ()
    bufferNames = ("indices", "_parts")
    backwardNeeds = frozenset({"input"})

    def __init__(self, W, H, spatial_scale=1, v2=True):
        super().__init__()
        check.positive(W=W, H=H)
        check.number(low=0, spatial_scale=spatial_scale)
        check.boolean(v2=v2)
        self.W = W
        self.H = H
        self.spatial_scale = spatial_scale
        self.v2 = v2
        self.indices = self._parts = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        features, regions = input
        check.shape("input[0]", features, "N", "C", "h", "w")
        check.shape("input[1]", regions, "R", 5)
        check.floating("input[0]", features)
        K = kernels.of(features, regions if regions.dtype.kind == "f" else None)
        if len(regions):
            self._checkRegions(regions, len(features))
        output = self.resize("output", (len(regions), features.shape[1], self.H, self.W), like=features)
        indices = self.resize("indices", output.shape, dtype=np.int32)
        K.roi_pool_update_output(features, regions, output, indices, self.spatial_scale, self.v2)
        return output

    def _checkRegions(self, regions, count):
        if regions.dtype.char not in "fdilq":
            raise TypeError(f"input[1] must hold the type of input[0], or int32 or int64, got {regions.dtype.name}")
        edges, images = regions[:, 1:], regions[:, 0]
        # NaN comes out of min and max, and fails every comparison.
        if not max(-float(edges.min()), float(edges.max())) * self.spatial_scale < 2**30 or np.isnan(edges.max()):
            wrong = next(r for r in regions if not all(abs(float(e)) * self.spatial_scale < 2**30 for e in r[1:]))
            raise ValueError(f"a region must have edges that are numbers below 2**30, got {wrong}")
        if not (images.min() >= 0 and images.max() < count) or (images.dtype.kind == "f" and (images % 1).any()):
            wrong = next(image for image in images.tolist() if not (0 <= image < count and float(image).is_integer()))
            raise IndexError(f"a region is of image {wrong}, but images are 0..{count - 1} (nnmod counts from 0)")

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        features, regions = input
        parts = self._parts or [None, None]
        self._parts = [tensor.resize(parts[0], features.shape, features.dtype), None]
        if regions.dtype.kind == "f":
            self._parts[1] = tensor.resize(parts[1], regions.shape, regions.dtype)
            tensor.fill(self._parts[1], 0)
        self.gradInput = list(self._parts)
        kernels.of(gradOutput).roi_pool_update_grad_input(gradOutput, regions, self.indices, self.gradInput[0])
        return self.gradInput

    def describe(self):
        return f"{self.W}x{self.H}, scale {self.spatial_scale:g}" + ("" if self.v2 else ", first version")
