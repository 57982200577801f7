"""Scalar formulas with their derivatives, written once for every backend.

The NumPy backend applies a formula to whole arrays, the compiled backends to one
element at a time.  So that both can, a formula is branch-free: :func:`select`
stands for ``if``, and :func:`constant` for a literal (a bare literal would turn
float32 arithmetic into float64).

The elementary functions below are NumPy's; compiled backends replace them with
polynomials that vectorise and keep IEEE's edges: inf, 0 and NaN come out where
they should.

NaN.  A comparison with NaN is false, so a formula must not let "not greater"
stand for "smaller": each formula is arranged so that a NaN input gives a NaN
output and a NaN derivative.

Names: ``x`` input, ``y`` output, ``dy`` gradient of y.  A derivative returns the
gradient of x.
"""
import numpy as np


# -- the elementary functions -------------------------------------------------

def constant(value, like):
    """The literal *value* in the dtype of *like*."""
    return value


def select(condition, a, b):
    """*a* where *condition* holds, else *b*."""
    return np.where(condition, a, b)


def exp(x):
    """e to the power of x."""
    return np.exp(x)


def expm1(x):
    """exp(x) - 1 without cancellation near 0."""
    return np.expm1(x)


def log(x):
    """Natural logarithm."""
    return np.log(x)


def log1p(x):
    """log(1 + x) without cancellation near 0."""
    return np.log1p(x)


def tanh(x):
    """Hyperbolic tangent."""
    return np.tanh(x)


def sqrt(x):
    """Square root."""
    return np.sqrt(x)


def fabs(x):
    """Absolute value."""
    return np.abs(x)


# -- activations ----------------------------------------------------------------

def relu(x):
    zero = constant(0, x)
    return select(x <= zero, zero, x)


def relu_grad(y, dy):
    # y > 0 exactly where x > 0; y is NaN where x is, and NaN times 0 stays NaN.
    zero = constant(0, y)
    return select(y > zero, dy, y * zero)


def leaky_relu(x, slope):
    return select(x <= constant(0, x), slope * x, x)


def leaky_relu_grad(x, dy, slope):
    zero = constant(0, x)
    return select(x > zero, dy, select(x <= zero, slope * dy, x))


def elu(x, alpha):
    return select(x <= constant(0, x), alpha * expm1(x), x)


def elu_grad(y, dy, alpha):
    # For x <= 0: d/dx alpha (exp x - 1) = alpha exp x = y + alpha.
    zero = constant(0, y)
    return select(y <= zero, dy * (y + alpha), select(y > zero, dy, y))


def sigmoid(x):
    one = constant(1, x)
    return one / (one + exp(-x))


def sigmoid_grad(y, dy):
    return dy * (constant(1, y) - y) * y


def tanh_grad(y, dy):
    return dy * (constant(1, y) - y * y)


def hard_tanh(x, low, high):
    return select(x <= low, low, select(x >= high, high, x))


def hard_tanh_grad(x, dy, low, high):
    # The derivative at the two corners is 0, as in Torch7.
    inside = select(x > low, constant(1, x), constant(0, x)) * select(
        x < high, constant(1, x), constant(0, x))
    return select(x == x, select(inside > constant(0, x), dy, constant(0, x)), x)


def soft_plus(x, beta, threshold):
    # log(1 + exp z) is z to machine precision above the threshold, where exp would
    # overflow; the arm not taken is computed too, so its argument is kept small.
    z = beta * x
    small = select(z > threshold, constant(0, x), z)
    return select(z > threshold, x, log1p(exp(small)) / beta)


def soft_plus_grad(y, dy, beta, threshold):
    # sigmoid(beta x) is 1 - exp(-beta y); above the threshold it is 1.
    z = beta * y
    return select(z > threshold, dy, -dy * expm1(-z))


# -- tables and vectors -----------------------------------------------------------

def add(a, b):
    return a + b


def multiply(a, b):
    return a * b


def scale(x, factor):
    return factor * x


def signed_add(x, addend, sign):
    return sign * (x + addend)


def add_scaled(x, y, factor):
    """y + factor x"""
    return y + factor * x


# -- losses: the value for one element, and its derivative -----------------------

def squared_error(x, t):
    d = x - t
    return d * d


def squared_error_grad(x, t, norm):
    return constant(2, x) * norm * (x - t)


def absolute_error(x, t):
    return fabs(x - t)


def absolute_error_grad(x, t, norm):
    # 0 at a tie has both signs in Torch7: d >= 0 counts as positive.
    d = x - t
    zero = constant(0, x)
    return select(d >= zero, norm, select(d < zero, -norm, d))


def smooth_l1(x, t):
    z = fabs(x - t)
    half = constant(0.5, x)
    return select(z < constant(1, x), half * z * z, z - half)


def smooth_l1_grad(x, t, norm):
    d = x - t
    one = constant(1, x)
    return select(d <= -one, -norm, select(d >= one, norm, norm * d))


def binary_cross_entropy(x, t):
    # Torch7's epsilon keeps log(0) finite at the saturated ends.
    eps, one = constant(1e-12, x), constant(1, x)
    return -(log(x + eps) * t + log(one - x + eps) * (one - t))


def weighted_binary_cross_entropy(x, t, w):
    return w * binary_cross_entropy(x, t)


def binary_cross_entropy_grad(x, t, norm):
    eps, one = constant(1e-12, x), constant(1, x)
    return -norm * (t - x) / ((one - x + eps) * (x + eps))


def weighted_binary_cross_entropy_grad(x, t, w, norm):
    return w * binary_cross_entropy_grad(x, t, norm)


# -- optimizers: one step for one parameter x with gradient g ---------------------
#
# ``decay`` (of the weights) and ``share`` (of the rate) may each be one number for
# all parameters or an element of a tensor.  Numbers such as 1 - beta come computed:
# in float32 the difference would lose digits.

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
