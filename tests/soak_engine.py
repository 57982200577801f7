"""Random calls of the CPU kernels for as long as you like: python tests/soak_engine.py --minutes 60

Set NNMOD_VECTOR_BITS to 128, 256 or 512 to soak another width of vectors.
"""
import argparse
import pathlib
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

import convolution_draws
import engine_draws


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    end, total = time.monotonic() + 60 * options.minutes, 0
    print(f"seed {options.seed}")
    while (left := end - time.monotonic()) > 0:
        done, errors = engine_draws.run(options.seed, seconds=min(left, 60))
        convolutions, wrong = convolution_draws.run(options.seed, 200)
        total, errors = total + done + convolutions, errors + wrong
        print(f"{total} draws", flush=True)
        if errors:
            sys.exit("\n".join(errors))
        options.seed += 1


if __name__ == "__main__":
    main()
