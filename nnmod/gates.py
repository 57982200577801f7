"""The parts that recurrent cells made of modules are built from: sums of gates, with noise or statistics.

recurrent.py has the cells themselves, whose usual form runs in fused kernels.
"""
from .arithmetic import CAddTable, CMulTable
from .broadcast import Add, CMul
from .container import Sequential
from .dropout import Dropout
from .linear import Linear
from .normalization import BatchNormalization
from .pointwise import AddConstant, MulConstant
from .reshape import Reshape
from .routing import FlattenTable, NarrowTable, SelectTable
from .sigmoid import Sigmoid, Tanh
from .table import ConcatTable, JoinTable, ParallelTable, SplitTable


def product(inputSize, outputSize, parts, bias, p, mono):
    """``(N, inputSize) -> (N, parts outputSize)``, linear; with *p* each part drops inputs of its own.

    The noise is the same at every step of a sequence; with *mono* also in every row.
    """
    if not p:
        return Linear(inputSize, parts * outputSize, bias)
    each = [Sequential(Dropout(p, lazy=True, mono=mono), Linear(inputSize, outputSize, bias)) for _ in range(parts)]
    return each[0] if parts == 1 else Sequential(ConcatTable(*each), JoinTable(1))


def sums(inputSize, outputSize, parts, p=0.0, mono=False):
    """What *parts* gates sum up: ``[x, h] -> (N, parts outputSize)``."""
    return Sequential(
        ParallelTable(product(inputSize, outputSize, parts, True, p, mono),
                      product(outputSize, outputSize, parts, False, p, mono)),
        CAddTable())


def normalized_sums(inputSize, outputSize, parts, eps, momentum, affine):
    """The same with both products normalised over the batch, each for itself; the bias comes after.

    Cooijmans and others, "Recurrent batch normalization", 2017.
    """
    def statistics():
        return BatchNormalization(parts * outputSize, eps, momentum, affine)

    return Sequential(
        ParallelTable(Sequential(Linear(inputSize, parts * outputSize, False), statistics()),
                      Sequential(Linear(outputSize, parts * outputSize, False), statistics(),
                                 Add(parts * outputSize))),
        CAddTable())


def peephole_sums(inputSize, outputSize, p, mono):
    """What a gate sums up that sees the cell: ``[x, h, c] -> (N, outputSize)``."""
    return Sequential(
        ParallelTable(product(inputSize, outputSize, 1, True, p, mono),
                      product(outputSize, outputSize, 1, False, p, mono), CMul(outputSize)),
        CAddTable())


def apart(outputSize, *transfers):
    """``(N, len(transfers) outputSize)`` cut into a table, each part through its function."""
    return Sequential(Reshape(len(transfers), outputSize, batchMode=True), SplitTable(1), ParallelTable(*transfers))


def times(*branches):
    """The product of what the branches return."""
    return Sequential(ConcatTable(*branches), CMulTable())


def plus(*branches):
    """The sum of what the branches return."""
    return Sequential(ConcatTable(*branches), CAddTable())


def lstm_of_gates(gates, statistics=None):
    """``[x, h', c'] -> [h, c]``, *gates* making the table of i, g, f, o from ``[x, h']``.

    *statistics*, if given, normalises the cell on its way to the output.
    """
    squash = [Tanh()] if statistics is None else [statistics, Tanh()]
    cell = plus(Sequential(NarrowTable(0, 2), CMulTable()), times(SelectTable(2), SelectTable(4)))
    return Sequential(
        ConcatTable(Sequential(NarrowTable(0, 2), gates), SelectTable(2)), FlattenTable(),  # i, g, f, o, c'
        ConcatTable(cell, SelectTable(3)),  # c, o
        ConcatTable(times(Sequential(SelectTable(0), *squash), SelectTable(1)), SelectTable(0)))


def lstm_of_parts(cell, outputGate):
    """``[x, h', c'] -> [h, c]`` from *cell*, ``[x, h', c'] -> c``, and *outputGate*, ``[x, h', c] -> o``."""
    return Sequential(
        ConcatTable(NarrowTable(0, 2), cell), FlattenTable(),  # x, h', c
        ConcatTable(times(outputGate, Sequential(SelectTable(2), Tanh())), SelectTable(2)))


def gru_of_sums(gates, candidate):
    """``[x, h'] -> h``, *gates* making the table of r and u, *candidate* k from ``[x, r h']``."""
    candidate = Sequential(ConcatTable(SelectTable(0), Sequential(NarrowTable(1, 2), CMulTable())), candidate)
    rest = Sequential(SelectTable(2), MulConstant(-1), AddConstant(1))  # 1 - u
    return Sequential(
        ConcatTable(SelectTable(0), SelectTable(1), gates), FlattenTable(),  # x, h', r, u
        ConcatTable(candidate, SelectTable(1), SelectTable(3)),  # k, h', u
        plus(times(rest, SelectTable(0)), Sequential(NarrowTable(1, 2), CMulTable())))


def sigmoid_of(sums):
    """The sums through a Sigmoid."""
    return Sequential(sums, Sigmoid())


def tanh_of(sums):
    """The sums through a Tanh."""
    return Sequential(sums, Tanh())


def lstm_transfers():
    """The functions of i, g, f and o, in rnn's order."""
    return Sigmoid(), Tanh(), Sigmoid(), Sigmoid()


def gru_transfers():
    """The functions of r and u."""
    return Sigmoid(), Sigmoid()
