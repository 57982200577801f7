"""Optimizers, as functions: ``x, fs = method(opfunc, x, config, state)``.

``opfunc(x)`` computes the loss at x and its gradient and returns ``(f, dfdx)``.
``x``, a tensor such as the vector from ``getParameters()`` or a picture, is changed in place and
returned; ``fs`` lists the losses that were computed on the way.  ``config`` is a dict
of options under Torch's names; what a method must remember goes into the dict
``state``, or into ``config`` itself where no state is given, as in Torch.

>>> import numpy as np
>>> x, config = np.array([4.0]), {"learningRate": 0.25}
>>> for _ in range(3):
...     x, fs = sgd(lambda x: (float(x @ x), 2 * x), x, config)
>>> x, fs
(array([0.5]), [1.0])

========================  ==========================================================
methods that              are
========================  ==========================================================
step once a call          sgd nag adam adamax adagrad adadelta rmsprop rprop asgd
search along lines        lbfgs (with lswolfe, if wished), cg; from SciPy: bfgs,
                          lbfgs_scipy, which keeps bounds
handle a kink, as of |x|  FistaLS
need no gradient          cmaes, de
========================  ==========================================================

A method that steps makes one pass over the vectors; but for those of SciPy and those
without gradients none allocates a tensor after its first calls.  The gradient that opfunc
returns is read and never changed.  A misspelt option, a rate below 0 or a gradient of
another shape raises before x is touched.  Torch's third result, where it has one, is in
the state.
"""
from .adadelta import adadelta as adadelta
from .adagrad import adagrad as adagrad
from .adam import adam as adam
from .adamax import adamax as adamax
from .asgd import asgd as asgd
from .cg import cg as cg
from .checkgrad import checkgrad as checkgrad
from .cmaes import cmaes as cmaes
from ..confusion import ConfusionMatrix as ConfusionMatrix
from .de import de as de
from .fista import FistaLS as FistaLS
from .lbfgs import lbfgs as lbfgs
from .lswolfe import lswolfe as lswolfe
from .nag import nag as nag
from .polyinterp import polyinterp as polyinterp
from .rmsprop import rmsprop as rmsprop
from .rprop import rprop as rprop
from .scipy_methods import bfgs as bfgs
from .scipy_methods import lbfgs_scipy as lbfgs_scipy
from .sgd import sgd as sgd
from ..training import Logger as Logger
