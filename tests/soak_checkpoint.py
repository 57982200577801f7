"""Training that is killed at random moments and goes on from its checkpoint, as if nothing had been.

    python tests/soak_checkpoint.py --kills 200

A process trains a small network and saves a checkpoint after each epoch; it gets SIGKILL at a
random moment, and another one resumes.  When the last epoch is done, the weights must be those of
a training that nobody stopped, to the bit; then a new training starts, until all kills are spent.
"""
import argparse
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import nnmod  # noqa: E402

EPOCHS = 8
NAME = "training.safetensors"


def fresh():
    """What a training begins with."""
    nnmod.manualSeed(4)
    net = nnmod.Sequential(nnmod.Linear(2, 16), nnmod.BatchNormalization(16), nnmod.Tanh(), nnmod.Dropout(0.2),
                           nnmod.Linear(16, 2))
    return {"model": net, "config": {"learningRate": 0.02, "weightDecay": 1e-3}, "state": {}, "epoch": 0,
            "random": nnmod.random.get_state()}


def train(path, saving=True):
    """Train from the checkpoint at *path*, if there is one, to the last epoch; returns the weights as bytes."""
    now = nnmod.load_checkpoint(path) if os.path.exists(path) else fresh()
    nnmod.random.set_state(now["random"])
    net, criterion = now["model"], nnmod.CrossEntropyCriterion()
    flat, gradients = net.getParameters()
    x, y = nnmod.data.spirals(40, seed=1)
    while now["epoch"] < EPOCHS:
        for inputs, targets in nnmod.data.minibatches(x, y, 16):
            def evaluate(_, inputs=inputs, targets=targets):
                net.zeroGradParameters()
                loss = criterion.forward(net.forward(inputs), targets)
                net.backward(inputs, criterion.backward(net.output, targets))
                return loss, gradients
            nnmod.optim.adam(evaluate, flat, now["config"], now["state"])
        now["epoch"] += 1
        if saving:
            nnmod.save_checkpoint(path, net, **{key: now[key] for key in ("config", "state", "epoch")},
                                  random=nnmod.random.get_state())
    return b"".join(tensor.tobytes() for module in net.listModules() for name in module._tensorNames()
                    if (tensor := getattr(module, name, None)) is not None and not name.startswith("grad"))


def forked(path):
    """The process of a training that leaves its weights in ``path + ".result"``."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        result = train(path)
        pathlib.Path(path + ".result").write_bytes(result)
        code = 0
    except BaseException as error:
        print(f"resuming failed: {error!r}", flush=True)
    os._exit(code)


def soak(kills, seed, folder):
    """Kill *kills* times: how many trainings came to their end, and the epochs that the kills found."""
    rng, path = random.Random(seed), os.path.join(folder, NAME)
    start = time.perf_counter()
    expected = train(os.path.join(folder, "never"), saving=False)
    longest = 2 * (time.perf_counter() - start)
    done, epochs = 0, []
    while kills or not done:
        child = forked(path)
        if kills:
            time.sleep(rng.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills -= 1
            epochs.append(nnmod.load_checkpoint(path)["epoch"] if os.path.exists(path) else 0)
            continue
        assert os.WEXITSTATUS(status) == 0, "a training could not be resumed"
        result = pathlib.Path(path + ".result").read_bytes()
        assert result == expected, "a training that was killed came to other weights"
        done += 1
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
    return done, epochs


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    # Children are forks of this process, which therefore has no threads: the reference has none.
    with nnmod.kernels.use_backend(nnmod.kernels.reference), tempfile.TemporaryDirectory() as folder:
        done, epochs = soak(options.kills, seed, folder)
    counts = ", ".join(f"{epochs.count(epoch)} after epoch {epoch}" for epoch in sorted(set(epochs)))
    print(f"seed {seed}: {len(epochs)} kills ({counts}), {done} trainings came to the same bits")


if __name__ == "__main__":
    main()
