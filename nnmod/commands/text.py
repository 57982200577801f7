"""How the command speaks: lines, tables and numbers that fit the terminal, and errors."""
import json
import math
import re
import shutil
import sys


class CommandError(Exception):
    """What the user asked for cannot be done; the text says why, on one line."""


#: Characters that a terminal takes for commands: text from files must not hold any.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text):
    """*text* with control characters, which could steer a terminal, in Python's notation.

    >>> clean("a" + chr(27) + "[2J")
    'a\\\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(text=""):
    """Write a line, or several, to standard output."""
    text = clean(text)
    try:
        sys.stdout.write(text + "\n")
    except UnicodeEncodeError:  # a terminal that knows fewer characters
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def remark(text):
    """Write a line to standard error, beside the result."""
    sys.stderr.write("nnmod: " + clean(text) + "\n")


def say_json(value):
    """Write *value* as JSON; numbers that JSON does not have as text: "nan", "inf", "-inf"."""
    say(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value):
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def size_text(count):
    """A number of bytes in words.

    >>> size_text(999), size_text(1_240_000), size_text(12)
    ('999 B', '1.2 MB', '12 B')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000


def count_text(count):
    """A large number in words: ``61.1 M``; small ones in full.

    >>> count_text(1234), count_text(61_100_840)
    ('1,234', '61.1 M')
    """
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if count >= limit:
            return f"{count / limit:.{3 if count < 10 * limit else 1}g} {unit}" if count < 10 * limit else (
                f"{count / limit:.1f} {unit}")
    return f"{count:,}"


def width():
    """How many columns a line may have: those of the terminal; any number where there is none."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 10_000


def table(rows, right=(), flexible=0):
    """Lines of a table whose first row is its head.

    Parameters
    ----------
    rows : list of tuples of text
    right : set of int
        Columns whose text stands at the right.
    flexible : int
        The column that is cut where the terminal is too narrow, at its end.
    """
    rows = [tuple(map(clean, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    excess = sum(widths) + 2 * (len(widths) - 1) - width()
    if excess > 0:
        widths[flexible] = max(16, widths[flexible] - excess)
    for row in rows:
        cells = [cut(cell, size) for cell, size in zip(row, widths)]
        yield "  ".join(cell.rjust(size) if index in right else cell.ljust(size)
                        for index, (cell, size) in enumerate(zip(cells, widths))).rstrip()


def cut(text, size):
    """*text*, or its beginning and two dots, in *size* characters at most."""
    return text if len(text) <= size else text[:max(0, size - 2)] + ".."
