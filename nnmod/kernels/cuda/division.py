"""Divide by a number that is the same for all threads: a multiplication and a shift."""
import numpy as np

from .compile import device


def magic(divisor):
    """What quotient() and the other functions here need to divide by *divisor*, 1 .. 2^31 - 1.

    With s so that 2^s >= divisor, and m = 2^(31 + s) / divisor rounded up, m n / 2^(31 + s) exceeds
    n / divisor by less than 1 / divisor for every n < 2^31: the quotient rounded down is exact.
    """
    shift = (divisor - 1).bit_length()
    return np.uint32(divisor), np.uint32(-(-(1 << 31 + shift) // divisor)), np.uint32(31 + shift)


@device
def divide(n, divisor, factor, shift):
    """(n // divisor, n % divisor) for n < 2^31."""
    quotient = np.uint32((np.uint64(n) * np.uint64(factor)) >> np.uint64(shift))
    return quotient, np.uint32(n - quotient * divisor)
