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


def power(x, p):
    """x to the power of p; NaN where x is negative and p no whole number."""
    return np.power(x, p)


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


def log_sigmoid(x):
    # exp of minus the absolute value never overflows.
    zero = constant(0, x)
    return select(x < zero, x, select(x >= zero, zero, x)) - log1p(exp(-fabs(x)))


def log_sigmoid_grad(x, dy):
    return dy * sigmoid(-x)


def tanh_shrink(x):
    return x - tanh(x)


def tanh_shrink_grad(x, dy):
    t = tanh(x)
    return dy * (t * t)


def soft_sign(x):
    return x / (constant(1, x) + fabs(x))


def soft_sign_grad(x, dy):
    z = constant(1, x) + fabs(x)
    return dy / (z * z)


def threshold(x, limit, value):
    return select(x <= limit, value, x)


def threshold_grad(x, dy, limit):
    # x - x is 0, or NaN where x is.
    return select(x > limit, dy, select(x <= limit, constant(0, x), x))


def hard_shrink(x, limit):
    return select(fabs(x) <= limit, constant(0, x), x)


def hard_shrink_grad(x, dy, limit):
    return select(fabs(x) > limit, dy, select(fabs(x) <= limit, constant(0, x), x))


def soft_shrink(x, limit):
    return select(x > limit, x - limit, select(x < -limit, x + limit, select(x == x, constant(0, x), x)))


def random_leaky_relu(x, slope):
    return select(x <= constant(0, x), slope * x, x)


def random_leaky_relu_slope(x, slope):
    """The slope at x: what backward needs where x itself is overwritten."""
    return select(x <= constant(0, x), slope, select(x == x, constant(1, x), x))


# -- plain functions --------------------------------------------------------------

def absolute(x):
    return fabs(x)


def absolute_grad(x, dy):
    # 0 counts as positive, as in Torch7.
    zero = constant(0, x)
    return select(x >= zero, dy, select(x < zero, -dy, x))


def square(x):
    return x * x


def square_grad(x, dy):
    return constant(2, x) * x * dy


def cube(x):
    return x * x * x


def cube_grad(x, dy):
    return constant(3, x) * (x * x) * dy


def reciprocal(x):
    return constant(1, x) / x


def reciprocal_grad(y, dy):
    return -dy * (y * y)


def power_of(x, p):
    return power(x, p)


def power_grad(x, dy, p, before):
    """*before* is p - 1."""
    return p * power(x, before) * dy


def shifted_sqrt(x, shift):
    return sqrt(x + shift)


def sqrt_grad(y, dy):
    # The derivative at 0 is infinite; 0 in its place, as in Torch7, lets training go on.
    return select(y == constant(0, y), y, constant(0.5, y) * dy / y)


def exp_grad(y, dy):
    return dy * y


def log_grad(x, dy):
    return dy / x


def add_constant(x, value):
    return x + value


# -- penalties ----------------------------------------------------------------------

def sign_scaled(x, factor):
    """factor times the sign of x"""
    zero = constant(0, x)
    return select(x > zero, factor, select(x < zero, -factor, factor * x))


def add_sign_scaled(x, dy, factor):
    return dy + sign_scaled(x, factor)


# -- tables and vectors -----------------------------------------------------------

def itself(x):
    return x


def is_nan(x):
    return select(x == x, constant(0, x), constant(1, x))


def add(a, b):
    return a + b


def multiply(a, b):
    return a * b


def scale(x, factor):
    return factor * x


def subtract(a, b):
    return a - b


def negative(x):
    return -x


def divide(a, b):
    return a / b


def divide_grad(a, b, dy):
    """The gradients of a and of b."""
    da = dy / b
    return da, -(da / b) * a


def larger_of_two(a, b):
    """The larger one, and its number: 0 or 1.  Ties go to a; NaN is larger than any number."""
    zero, one = constant(0, a), constant(1, a)
    takes_b = select(b > a, one, select(b == b, zero, select(a == a, one, zero)))
    return select(takes_b > zero, b, a), takes_b


def smaller_of_two(a, b):
    """The smaller one, and its number: 0 or 1.  Ties go to a; NaN is smaller than any number."""
    zero, one = constant(0, a), constant(1, a)
    takes_b = select(b < a, one, select(b == b, zero, select(a == a, one, zero)))
    return select(takes_b > zero, b, a), takes_b


def larger(best, where, x, number):
    """best and where, or x and its number where x is larger."""
    value, takes_x = larger_of_two(best, x)
    return value, select(takes_x > constant(0, x), number, where)


def smaller(best, where, x, number):
    """best and where, or x and its number where x is smaller."""
    value, takes_x = smaller_of_two(best, x)
    return value, select(takes_x > constant(0, x), number, where)


def pick(where, dy, number):
    """dy where *where* is *number*, else 0."""
    return select(where == number, dy, constant(0, dy))


def add_scaled(x, y, factor):
    """y + factor x"""
    return y + factor * x


def over_distance(y, dy):
    # Torch7's 1e-7 makes the gradient at a distance of 0 a 0.
    return dy / (y + constant(1e-7, y))
# -- pooling by a norm: y = (sum of x ** p) ** (1 / p) ------------------------------

def lp_power(x, p):
    return x ** p


def lp_root(s, p):
    return s ** (constant(1, s) / p)


def lp_share(y, dy, p):
    # A window of zeros has no slope: 0, not 0 times Inf.
    zero = constant(0, y)
    return select(y == zero, y * dy, dy * select(y == zero, constant(1, y), y) ** (constant(1, y) - p))


def lp_slope(x, share, p):
    return share * x ** (p - constant(1, x))


def lp_square(x):
    return x * x


def lp_square_root(s):
    return sqrt(s)


def lp_share_of_square(y, dy):
    zero = constant(0, y)
    return select(y == zero, y * dy, dy / select(y == zero, constant(1, y), y))


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


def weighted_squared_error(x, t, w):
    d = x - w * t
    return d * d


def weighted_squared_error_grad(x, t, w, norm):
    return constant(2, x) * norm * (x - w * t)


def l1_cost(x):
    return fabs(x)


def l1_cost_grad(x, norm):
    zero = constant(0, x)
    return select(x > zero, norm, select(x < zero, -norm, x))  # 0 at 0


def kl_divergence(x, t):
    # 0 log 0 is 0, so where t is 0 only a NaN in x counts.
    zero = constant(0, x)
    nothing = select(x == x, zero, x)
    return select(t > zero, t * (log(t) - x), select(t <= zero, nothing, t))


def kl_divergence_grad(x, t, norm):
    zero = constant(0, x)
    return select(t > zero, -norm * t, select(t <= zero, zero, t))


def margin_loss(x, t, margin):
    z = margin - x * t
    zero = constant(0, x)
    return select(z <= zero, zero, z)


def margin_loss_grad(x, t, margin, norm):
    z = margin - x * t
    zero = constant(0, x)
    return select(z > zero, -norm * t, select(z <= zero, zero, z))


def log1p_exp(u):
    """log(1 + exp u), as max(u, 0) + log(1 + exp(-|u|)), which never overflows."""
    zero = constant(0, u)
    return select(u <= zero, zero, u) + log1p_exp_minus(fabs(u))


def log1p_exp_minus(u):
    """log(1 + exp(-u)) for u >= 0."""
    # With e = exp(-u), log(1 + e) = 2 artanh(s) with s = e / (2 + e) <= 1/3: the series keeps the loop free of
    # branches, which a general logarithm after exp does not.
    two = constant(2, u)
    e = exp(-u)
    s = e / (two + e)
    z = s * s
    p = z * constant(1 / 33, u) + constant(1 / 31, u)
    p = p * z + constant(1 / 29, u)
    p = p * z + constant(1 / 27, u)
    p = p * z + constant(1 / 25, u)
    p = p * z + constant(1 / 23, u)
    p = p * z + constant(1 / 21, u)
    p = p * z + constant(1 / 19, u)
    p = p * z + constant(1 / 17, u)
    p = p * z + constant(1 / 15, u)
    p = p * z + constant(1 / 13, u)
    p = p * z + constant(1 / 11, u)
    p = p * z + constant(1 / 9, u)
    p = p * z + constant(1 / 7, u)
    p = p * z + constant(1 / 5, u)
    p = p * z + constant(1 / 3, u)
    return two * (s + s * (z * p))


def soft_margin(x, t):
    return log1p_exp(-x * t)


def soft_margin_grad(x, t, norm):
    return -norm * t / (constant(1, x) + exp(x * t))


def binary_logits(x, t):
    # t log(1 + exp(-x)) + (1 - t) log(1 + exp x): the logarithms differ by x.
    zero, one = constant(0, x), constant(1, x)
    return x * (select(x > zero, one, zero) - t) + log1p_exp_minus(fabs(x))


def binary_logits_grad(x, t, norm):
    one = constant(1, x)
    return norm * (one / (one + exp(-x)) - t)


def weighted_binary_logits(x, t, w):
    return w * binary_logits(x, t)


def weighted_binary_logits_grad(x, t, w, norm):
    return w * binary_logits_grad(x, t, norm)


def hinge_embedding(x, t, margin):
    # A target other than 1 or -1 has no loss: NaN, which the criterion then explains.
    zero, one = constant(0, x), constant(1, x)
    z = margin - x
    apart = select(z <= zero, zero, z)
    return select(t == one, x, select(t == -one, apart, constant(np.nan, x)))


def hinge_embedding_grad(x, t, margin, norm):
    zero, one = constant(0, x), constant(1, x)
    apart = select(x <= margin, -norm, select(x > margin, zero, x))
    return select(t == one, select(x == x, norm, x), select(t == -one, apart, constant(np.nan, x)))


def l1_difference_grad(x, y, factor):
    """factor times the derivative of |x - y| by x and by y; 0 where they are equal."""
    d = x - y
    zero = constant(0, x)
    dx = select(d > zero, factor, select(d < zero, -factor, d))
    return dx, -dx


def margin_ranking(x, y, t, margin):
    # NaN for a target other than 1 or -1, as in hinge_embedding.
    z = margin - t * (x - y)
    zero = constant(0, x)
    return select(t * t == constant(1, x), select(z <= zero, zero, z), constant(np.nan, x))


def margin_ranking_grad(x, y, t, margin, norm):
    # At the corner the pair still counts, as in Torch7.
    z = margin - t * (x - y)
    zero = constant(0, x)
    dx = select(t * t == constant(1, x), select(z >= zero, -norm * t, select(z < zero, zero, z)),
                constant(np.nan, x))
    return dx, -dx


def distance_ratio(x, y):
    # -log(exp(-x) / (exp(-x) + exp(-y))) = log(1 + exp(x - y))
    return log1p_exp(x - y)


def distance_ratio_grad(x, y, norm):
    dx = norm / (constant(1, x) + exp(y - x))
    return dx, -dx


def row_loss(loss):
    return loss


# -- what a fused kernel can end with -------------------------------------------------

def identity(x):
    return x


#: Fused kernels name an activation by its number here; each takes the numbers of its formula.
ACTIVATIONS = (identity, relu, leaky_relu, hard_tanh, tanh, sigmoid)
