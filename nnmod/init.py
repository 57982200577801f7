"""Initialisers: fill a parameter in place from the library's one generator."""
from . import random


def uniform(parameter, bound):
    """Fill *parameter* from U(-bound, bound)."""
    random.uniform(parameter, -bound, bound)


def normal(parameter, stdv, mean=0.0):
    """Fill *parameter* from the normal distribution of *mean* and *stdv*."""
    random.normal(parameter, mean, stdv)


def constant(parameter, value):
    """Set every element of *parameter* to *value*."""
    parameter.fill(value)


def xavier(parameter, fan_in, fan_out):
    """Fill from U(-b, b), b = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    random.uniform(parameter, -(6 / (fan_in + fan_out)) ** 0.5, (6 / (fan_in + fan_out)) ** 0.5)


def kaiming(parameter, fan_in):
    """Fill from N(0, 2 / fan_in), for layers before a ReLU (He et al., 2015)."""
    random.normal(parameter, 0.0, (2 / fan_in) ** 0.5)
