"""One step of each optimizer for one parameter, written like :mod:`nnmod.kernels.formulas`.

Names: ``g`` gradient, ``x`` parameter.  ``decay`` (of the weights) and ``share`` (of the
rate) may each be one number for all parameters or an element of a tensor.  Numbers such
as 1 - beta come computed: in float32 the difference would lose digits.
"""
from .formulas import constant, fabs, select, sqrt


def decayed(g, x, decay):
    # Without decay x plays no part: 0 times Inf would make a NaN.
    return select(decay != constant(0, g), g + decay * x, g)


def sgd(g, x, decay, share, rate):
    """Gradient descent.  Returns x."""
    return x - rate * (share * decayed(g, x, decay))


def sgd_shares(g, x, share, decay, rate):
    """sgd with share before decay, for a share of each parameter's own."""
    return sgd(g, x, decay, share, rate)


def sgd_momentum(g, v, x, decay, share, rate, keep, gain, look):
    """Momentum: v <- keep v + gain g; look > 0 is Nesterov's step ahead.  Returns (v, x)."""
    g = decayed(g, x, decay)
    v = keep * v + gain * g
    step = select(look != constant(0, g), g + look * v, v)
    return v, x - rate * (share * step)


def sgd_momentum_shares(g, v, x, share, decay, rate, keep, gain, look):
    """sgd_momentum with share before decay, for a share of each parameter's own."""
    return sgd_momentum(g, v, x, decay, share, rate, keep, gain, look)


def adam(g, m, v, x, decay, beta1, gain1, beta2, gain2, rate, epsilon):
    """Kingma and Ba (2015); *rate* carries the bias corrections.  Returns (m, v, x)."""
    g = decayed(g, x, decay)
    m = beta1 * m + gain1 * g
    v = beta2 * v + gain2 * (g * g)
    return m, v, x - rate * m / (sqrt(v) + epsilon)


def rmsprop(g, m, x, decay, alpha, gain, rate, epsilon):
    """Tieleman and Hinton (2012).  Returns (m, x)."""
    g = decayed(g, x, decay)
    m = alpha * m + gain * (g * g)
    return m, x - rate * g / (sqrt(m) + epsilon)


def adagrad(g, v, x, decay, rate, epsilon):
    """Duchi, Hazan and Singer (2011).  Returns (v, x)."""
    g = decayed(g, x, decay)
    v = v + g * g
    return v, x - rate * g / (sqrt(v) + epsilon)


def adamax(g, m, u, x, decay, beta1, gain1, beta2, rate, epsilon):
    """Kingma and Ba (2015), section 7; *rate* carries the bias correction.  Returns (m, u, x)."""
    g = decayed(g, x, decay)
    m = beta1 * m + gain1 * g
    size, faded = fabs(g) + epsilon, beta2 * u
    u = select(faded > size, faded, select(faded == faded, size, faded))
    return m, u, x - rate * m / u


def adadelta(g, v, a, x, rho, gain, epsilon):
    """Zeiler (2012).  Returns (v, a, x)."""
    v = rho * v + gain * (g * g)
    step = sqrt(a + epsilon) / sqrt(v + epsilon) * g
    return v, rho * a + gain * (step * step), x - step


def nag(g, v, x, decay, share, rate, keep):
    """Nesterov's method where g was taken ahead, at x = x_before + keep v.  Returns (v, x)."""
    step = rate * (share * decayed(g, x, decay))
    return keep * v - step, x - step


def nag_shares(g, v, x, share, decay, rate, keep):
    """nag with share before decay, for a share of each parameter's own."""
    return nag(g, v, x, decay, share, rate, keep)


def asgd(g, x, mean, shrink, rate, weight):
    """Polyak and Juditsky (1992), as in Bottou's sgd-2.0.  Returns (x, mean)."""
    x = shrink * x - rate * g
    return x, select(weight == constant(1, x), x, mean + weight * (x - mean))


def sign(x):
    """-1, 0 or 1; NaN where x is"""
    return select(x > constant(0, x), constant(1, x), select(x < constant(0, x), constant(-1, x), x))


def rprop(g, before, step, x, plus, minus, low, high):
    """Riedmiller and Braun (1993), without stepping back.  Returns (before, step, x)."""
    zero, one = constant(0, g), constant(1, g)
    turn = sign(g) * sign(before)
    step = step * select(turn > zero, plus, select(turn < zero, minus, one))
    step = select(step > high, high, select(step < low, low, step))
    # Where the gradient changed its sign the parameter rests for one step.
    g = select(turn < zero, zero, g)
    return g, step, x - sign(g) * step


def combine(a, b, p, q):
    """p a + q b"""
    return p * a + q * b
