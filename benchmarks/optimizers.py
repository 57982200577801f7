"""How fast is a step of each optimizer beside the same in torch.optim?

One vector of a million float32 parameters with a gradient that is ready, both with the
same number of threads, in alternating rounds of one process. Each figure is the median
over the rounds; the ratio torch / nnmod is what holds on a shared machine; higher is
better. torch runs its default, for-each, implementation.

    python benchmarks/optimizers.py [names ...] --threads 1
"""
import argparse
import time

import numpy as np

import nnmod
from nnmod import optim

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


def gradients(size):
    """A vector, and function(x) -> its gradient in a tensor that is used again."""
    rng = np.random.default_rng(0)
    slopes = rng.uniform(0.5, 1.5, size).astype(np.float32)
    return rng.standard_normal(size).astype(np.float32), slopes, np.empty_like(slopes)


def ours(method, config, size):
    x, slopes, kept = gradients(size)
    np.multiply(slopes, x, out=kept)
    config = dict(config)

    def opfunc(x):
        if method is optim.lbfgs:  # without a change of the gradient it would learn nothing
            np.multiply(slopes, x, out=kept)
        return 1.0 / (1 + config.get("funcEval", 0)), kept

    return lambda: method(opfunc, x, config)


def theirs(name, options, size):
    import torch
    x, slopes, _ = gradients(size)
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


def compare(pair, size, rounds):
    """Medians in seconds of a call of each: (nnmod, torch)."""
    method, config, name, options = pair
    runs = ours(method, config, size), theirs(name, options, size)
    for run in runs:
        for _ in range(5):
            run()
    times = [[], []]
    for _ in range(rounds):
        for run, kept in zip(runs, times):
            began = time.perf_counter()
            run()
            kept.append(time.perf_counter() - began)
    return [float(np.median(kept)) for kept in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=list(PAIRS), help="all by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    import torch
    torch.set_num_threads(args.threads)
    nnmod.setnumthreads(args.threads)
    print(f"{args.size} parameters, {args.threads} thread(s)")
    print(f"{'':14}{'nnmod':>10}{'torch':>10}{'torch / nnmod':>16}")
    for name in args.names or PAIRS:
        mine, other = compare(PAIRS[name], args.size, args.rounds)
        print(f"{name:14}{mine * 1e3:8.3f}ms{other * 1e3:8.3f}ms{other / mine:16.2f}", flush=True)


if __name__ == "__main__":
    main()
