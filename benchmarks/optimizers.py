"""How fast is a step of each optimizer beside the same in torch.optim?

One vector of a million float32 parameters with a gradient that is ready.  torch runs the
implementation that it chooses by itself.
"""
import numpy as np

from nnmod import optim

from .harness import Row, find_torch, measure, threads

TITLE = "Optimizers"
#: name -> (method, config, name in torch.optim, its options)
PAIRS = {
    "sgd": (optim.sgd, {"learningRate": 1e-4}, "SGD", {"lr": 1e-4}),
    "sgd momentum": (optim.sgd, {"learningRate": 1e-4, "momentum": 0.9, "dampening": 0, "weightDecay": 1e-4},
                     "SGD", {"lr": 1e-4, "momentum": 0.9, "weight_decay": 1e-4}),
    "nag": (optim.nag, {"learningRate": 1e-4}, "SGD", {"lr": 1e-4, "momentum": 0.9, "nesterov": True}),
    "adam": (optim.adam, {}, "Adam", {}),
    "adamax": (optim.adamax, {}, "Adamax", {}),
    "rmsprop": (optim.rmsprop, {}, "RMSprop", {}),
    "adagrad": (optim.adagrad, {}, "Adagrad", {}),
    "adadelta": (optim.adadelta, {}, "Adadelta", {"lr": 1.0, "rho": 0.9}),
    "asgd": (optim.asgd, {}, "ASGD", {"lr": 1e-4}),
    "rprop": (optim.rprop, {}, "Rprop", {"lr": 0.1}),
    "lbfgs": (optim.lbfgs, {"learningRate": 1e-3, "maxIter": 4, "nCorrection": 5, "tolX": 0},
              "LBFGS", {"lr": 1e-3, "max_iter": 4, "history_size": 5, "tolerance_change": 0}),
}


#: Bytes that a step must move for each parameter: tensors read and written.
_MOVED = {"sgd": 12, "sgd momentum": 20, "nag": 20, "adam": 28, "adamax": 28, "rmsprop": 20, "adagrad": 20,
          "adadelta": 28}


def rows(run):
    """A line for each optimizer and number of threads."""
    size = 1000 if run.tiny else 1_000_000
    for name, (method, config, theirs, options) in PAIRS.items():
        if run.wants(name):
            for count in run.threads:
                with threads(count):
                    tasks = {"nnmod": _ours(method, config, size)}
                    torch = find_torch()
                    if torch:
                        tasks["torch"] = _theirs(torch, theirs, options, size)
                    times = measure(tasks, run.seconds / 6, count)
                yield Row(name, times.pop("nnmod"), times, count, bytes=size * _MOVED.get(name, 0), goal=1.0)


def _gradients(size):
    """A vector, and function(x) -> its gradient in a tensor that is used again."""
    rng = np.random.default_rng(0)
    slopes = rng.uniform(0.5, 1.5, size).astype(np.float32)
    return rng.standard_normal(size).astype(np.float32), slopes, np.empty_like(slopes)


def _ours(method, config, size):
    x, slopes, kept = _gradients(size)
    np.multiply(slopes, x, out=kept)
    config = dict(config)

    def opfunc(x):
        if method is optim.lbfgs:  # without a change of the gradient it would learn nothing
            np.multiply(slopes, x, out=kept)
        return 1.0 / (1 + config.get("funcEval", 0)), kept

    return lambda: method(opfunc, x, config)


def _theirs(torch, name, options, size):
    x, slopes, _ = _gradients(size)
    x, slopes = torch.tensor(x, requires_grad=True), torch.tensor(slopes)
    x.grad = (slopes * x).detach()
    optimizer = getattr(torch.optim, name)([x], **options)
    count = [0]

    def closure():
        with torch.no_grad():
            torch.mul(slopes, x, out=x.grad)
        count[0] += 1
        return 1.0 / count[0]

    return (lambda: optimizer.step(closure)) if name == "LBFGS" else optimizer.step
