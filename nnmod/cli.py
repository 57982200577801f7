"""The nnmod command: look into model files, convert, run, time and check them.

This file has the command line alone; what a subcommand does is in commands/, which is
imported when it is asked for.
"""
import argparse
import importlib
import os
import sys
import textwrap
import traceback

import nnmod

#: What scripts can rely on.
GOOD, NO, WRONG = 0, 1, 2

#: The subcommands, in the order of the help.
COMMANDS = ("info", "list", "cat", "convert", "run", "time", "check", "warmup", "doctor")

_SHAPE = ("sizes with an x between them, the batch first, such as 1x3x224x224; 1x4,1x5 or "
          "a=1x4,b=1x5 for two inputs; 1x10:int for integers")


def main(argv=None):
    """Run the command with the arguments *argv*, by default those of the process; the exit code."""
    try:
        options = parser().parse_args(argv)
        if options.command is None:
            parser().print_help()
            return WRONG
        command = importlib.import_module(f"nnmod.commands.{options.command}")
        code = command.run(options)
        sys.stdout.flush()
        return code
    except SystemExit as end:  # argparse has said what is wrong, or has shown its help
        return end.code if isinstance(end.code, int) else WRONG
    except BrokenPipeError:
        # Whoever read the output has seen enough.  Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except KeyboardInterrupt:
        sys.stderr.write("nnmod: interrupted\n")
        return 130
    except Exception as error:
        if os.environ.get("NNMOD_TRACEBACK"):
            traceback.print_exc()
        sys.stderr.write(f"nnmod: {_one_line(error, locals().get('options'))}\n")
        return WRONG


def _one_line(error, options):
    """What went wrong, on one line: the file, what was found, and the layer where it happened."""
    from .commands.text import CommandError, clean

    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        name = error.filename if error.filename is not None else getattr(options, "file", "")
        text = f"{name}: {error.strerror}"
    elif isinstance(error, RecursionError):
        text = "it is nested too deeply"
    elif isinstance(error, MemoryError):
        text = f"there is not enough memory ({text})" if text else "there is not enough memory"
    elif isinstance(error, KeyError):
        text = f"{type(error).__name__}: {text}"
    elif not text:
        text = type(error).__name__
    elif isinstance(error, TypeError) and "int32 or int64" in text and getattr(options, "input", None):
        text += f"; on this command line: --input {options.input}:int"
    file = getattr(options, "file", None)
    if not isinstance(error, (CommandError, OSError, ImportError)) and file and file not in text:
        text = f"{file}: {text}"
    notes = [note for note in getattr(error, "__notes__", ()) if not (file and note == f"in the file {file}")]
    text = "; ".join([text, *notes])
    return clean(" ".join(text.split()))


# -- the command line ---------------------------------------------------------------


def parser():
    """The command line, for argparse."""
    top = argparse.ArgumentParser(
        prog="nnmod", formatter_class=_Help,
        description="Look into model files, and convert, run, time and check them: Torch7's .t7, nnmod's "
                    "checkpoints (.safetensors), NumPy's .npz and .npy.",
        epilog=_indented("""
            examples:
              nnmod info model.t7 --input 1x3x224x224     layers, shapes, parameters, arithmetic
              nnmod list checkpoint.t7                    everything in a file
              nnmod cat checkpoint.t7 opt.learningRate    one value of it
              nnmod convert model.t7 model.safetensors    from Torch7 to a checkpoint
              nnmod time model.t7 --input 8x3x32x32       milliseconds, layer by layer

            nnmod COMMAND --help says more.  Exit codes: 0 good; 1 the answer is no (a gradient is wrong,
            a model cannot run); 2 bad usage or a bad file.  NNMOD_TRACEBACK=1 shows where an error arose.
        """))
    top.add_argument("--version", action="version", version=f"nnmod {nnmod.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name, summary, details, examples):
        added = commands.add_parser(
            name, help=summary, formatter_class=_Help,
            description=f"{summary[0].upper()}{summary[1:]}.  {details}",
            epilog=_indented("examples:\n" + textwrap.indent(textwrap.dedent(examples).strip(), "  ")))
        return added

    def model(added, what="a .t7 file, a checkpoint"):
        added.add_argument("file", metavar="FILE", help=what)
        added.add_argument("--at", metavar="PATH", help=(
            "the model in FILE, as nnmod list names it, where there are several (default: the only one, or "
            "the one named model)"))

    def json(added):
        added.add_argument("--json", action="store_true", help="for programs: JSON on standard output")

    def force(added):
        added.add_argument("--force", action="store_true", help="replace a file that exists")

    info = command(
        "info", "show what a model is made of",
        "The tree of its layers with shapes, parameters, memory and multiply-adds; parts that nnmod has no "
        "class for are marked, and make the exit code 1.", """
        nnmod info lenet5.t7
        nnmod info lenet5.t7 --input 1x1x28x28
        nnmod info training.t7 --at best.model --json
        """)
    model(info)
    info.add_argument("--input", metavar="SHAPE",
                      help=f"run it once on random numbers of this shape: {_SHAPE}")
    json(info)

    listed = command(
        "list", "list everything in a file",
        "Paths count from 0, also where Torch7 counts from 1.", """
        nnmod list checkpoint.t7
        nnmod list checkpoint.t7 --at model --depth 2
        nnmod list weights.npz --json
        """)
    listed.add_argument("file", metavar="FILE", help="a .t7, .safetensors, .npz or .npy file")
    listed.add_argument("--at", metavar="PATH", help="list what is below this path only")
    listed.add_argument("--depth", type=_count, metavar="N", help="go no deeper than this")
    json(listed)

    cat = command(
        "cat", "show one value of a file",
        "The path is as nnmod list shows it; what a module was made with can be asked for too, such as "
        "0.kW.", """
        nnmod cat checkpoint.t7 opt.learningRate
        nnmod cat lenet5.t7 0.weight
        nnmod cat lenet5.t7 0.weight -o weight.npy
        """)
    cat.add_argument("file", metavar="FILE", help="a .t7, .safetensors, .npz or .npy file")
    cat.add_argument("path", metavar="PATH", nargs="?", default="", help="which value (default: the whole)")
    cat.add_argument("--all", action="store_true", help="every number of a large tensor")
    cat.add_argument("-o", "--output", metavar="OUT", help="write the value to an .npy or .npz file instead")
    force(cat)

    convert = command(
        "convert", "write a file as another kind",
        "The kind follows from the ending of OUT: .t7 (Torch7, binary), .t7a (Torch7, ASCII), .safetensors "
        "(a checkpoint), .npz, .npy.  An .npz has the tensors, numbers and texts by path, and no structure.  "
        "OUT appears in one step, complete.", """
        nnmod convert model.t7 model.safetensors
        nnmod convert model.t7 readable.t7 --to t7-ascii
        nnmod convert training.t7 model.t7 --at model
        """)
    convert.add_argument("file", metavar="IN", help="a .t7, .safetensors, .npz or .npy file")
    convert.add_argument("output", metavar="OUT", help="the file to write")
    convert.add_argument("--to", choices=("t7", "t7-ascii", "checkpoint", "npz", "npy"),
                         help="the kind of OUT, whatever its ending")
    convert.add_argument("--at", metavar="PATH", help="only this part of IN, as nnmod list names it")
    force(convert)

    run = command(
        "run", "run a model on an input from a file",
        "In evaluation mode.  The input is an .npy, or an .npz or a table in a .t7 for a model with several "
        "inputs (by their names, or in order where they are called arr_0, arr_1, ..); floats are converted to "
        "the model's type.", """
        nnmod run lenet5.t7 digits.npy
        nnmod run lenet5.t7 digits.npy -o scores.npy
        """)
    model(run)
    run.add_argument("input_file", metavar="INPUT", help="an .npy, .npz or .t7 file")
    run.add_argument("-o", "--output", metavar="OUT", help="write the output to an .npy, or .npz for several")
    force(run)

    time = command(
        "time", "time every layer, forward and backward",
        "Medians, after a warm-up that compiles what is needed.  Whole passes that nothing watches are timed "
        "in turn with those that are watched layer by layer.", """
        nnmod time vgg.t7 --input 8x3x32x32
        nnmod time vgg.t7 --input 1x3x224x224 --evaluate --plot vgg.png
        """)
    model(time)
    time.add_argument("--input", metavar="SHAPE", required=True, help=_SHAPE)
    time.add_argument("--evaluate", action="store_true", help="in evaluation mode (default: as in training)")
    time.add_argument("--repeats", type=_positive, metavar="N",
                      help="how many passes (default: as many as fit)")
    time.add_argument("--seconds", type=_seconds, default=2.0, metavar="S",
                      help="about how long to measure (default: 2)")
    time.add_argument("--plot", metavar="FILE",
                      help="draw the times too, as .png, .svg or .pdf (needs nnmod[plot])")
    json(time)
    force(time)

    check = command(
        "check", "check a model's gradients against finite differences",
        "In float64, on a sample of each tensor's elements.  Exit code 1 if backward is not the derivative "
        "of forward.", """
        nnmod check lenet5.t7 --input 2x1x28x28
        nnmod check mine.safetensors --input 4x10 --training --samples 0
        """)
    model(check)
    check.add_argument("--input", metavar="SHAPE", required=True, help=_SHAPE)
    check.add_argument("--samples", type=_count, default=20, metavar="N",
                       help="elements of each tensor, drawn at random; 0 for all (default: 20)")
    check.add_argument("--training", action="store_true", help="in training mode (default: evaluation)")

    warmup = command(
        "warmup", "compile kernels ahead, so that nothing waits for them later",
        "Without a file: the kernels of every module and criterion, in several processes; that takes some "
        "minutes, once.  With a file: what that model needs.", """
        nnmod warmup
        nnmod warmup --only convolution pooling linear
        nnmod warmup lenet5.t7 --input 32x1x28x28
        """)
    warmup.add_argument("file", metavar="FILE", nargs="?",
                        help="a model: compile what it needs (default: everything)")
    warmup.add_argument("--at", metavar="PATH", help="the model in FILE, where there are several")
    warmup.add_argument("--input", metavar="SHAPE", help=f"what FILE will be given: {_SHAPE}")
    warmup.add_argument("--only", nargs="+", metavar="GROUP",
                        help="without a file: only these groups; --list names all")
    warmup.add_argument("--list", action="store_true", help="name the groups, and compile nothing")
    warmup.add_argument("--type", choices=("float32", "float64", "both"),
                        help="for numbers of which type (default: float32; with a file, the model's own)")
    warmup.add_argument("--jobs", type=_positive, metavar="N",
                        help="how many processes (default: one a processor)")

    doctor = command(
        "doctor", "say what is installed, and test the kernels",
        "Everything that a bug report needs; the self-test takes ten seconds at most once the kernels are "
        "compiled, and makes the exit code 1 if a result is wrong.", """
        nnmod doctor
        nnmod doctor --json > report.json
        """)
    doctor.add_argument("--no-test", action="store_true", help="leave the self-test out")
    json(doctor)
    return top


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps the description, and leaves the examples as they are."""

    def _fill_text(self, text, width, indent):
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return textwrap.fill(" ".join(text.split()), width)


def _indented(text):
    return textwrap.dedent(text).strip()


def _count(text):
    return _whole(text, 0)


def _positive(text):
    return _whole(text, 1)


def _whole(text, low):
    if not text.isascii() or not text.isdigit() or int(text) < low:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, {low} or more")
    return int(text)


def _seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds")
    return value
