"""A module as a page of a notebook shows it: a tree that folds, with shapes and parameters."""
import html

from . import nested, tensor

_ROW = "display:flex;gap:1.5em;padding:1px 0"
_NAME = "flex:1;white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
_NUMBER = "flex:none;width:{}em;text-align:right;white-space:nowrap;opacity:{}"
_BELOW = "margin-left:.45em;padding-left:1em;border-left:1px solid rgba(128,128,128,.35)"
#: In a network of more modules than this, containers inside start folded.
_UNFOLDED = 60


def tree(module):
    """HTML of *module* and all below it, each with the shape of its last output and its parameters.

    Containers fold and unfold.  Nothing is loaded or run, and every text is escaped.

    >>> class Layer:
    ...     modules, paramNames, output = (), (), None
    ...     def describe(self):
    ...         return "3 < 4"
    >>> "Layer(3 &lt; 4)" in tree(Layer())
    True
    """
    count, parameters = _counts(module)
    large = count[id(module)] > _UNFOLDED
    lines = ['<div style="font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px;line-height:1.5;'
             'max-width:68em">']
    if module.modules:
        lines.append(f'<div style="{_ROW};opacity:.55"><span style="{_NAME}"></span>'
                     f'<span style="{_NUMBER.format(16, 1)}">output</span>'
                     f'<span style="{_NUMBER.format(8, 1)}">parameters</span></div>')
    # Steps to take, last first: a module with its number and depth, or text that ends one.  No recursion:
    # a network can be as deep as it likes.
    waiting = [(module, "", 0)]
    while waiting:
        step = waiting.pop()
        if isinstance(step, str):
            lines.append(step)
            continue
        here, number, depth = step
        row = _row(here, number, parameters[id(here)])
        if not here.modules:
            lines.append(f'<div style="{_ROW};padding-left:1.05em">{row}</div>')
            continue
        opened = "" if large and depth else " open"
        # The marker stands outside, so that the rows of leaves and of containers are equally wide.
        lines.append(f'<details{opened}><summary style="cursor:pointer;margin-left:1.05em;'
                     f'list-style-position:outside"><div style="{_ROW}">{row}</div></summary>'
                     f'<div style="{_BELOW}">')
        waiting.append("</div></details>")
        waiting += [(child, str(index), depth + 1)
                    for index, child in reversed(list(enumerate(here.modules)))]
    return "".join([*lines, "</div>"])


def head(module):
    """A module's class and sizes: the first line of its repr.

    >>> from nnmod import Concat, Linear
    >>> head(Concat(1, Linear(2, 3))), head(Linear(2, 3))
    ('Concat(1)', 'Linear(2 -> 3)')
    """
    if not module.modules and type(module).__repr__ is not object.__repr__:
        return repr(module).partition("\n")[0].removesuffix(" {}")
    words = module.describe()
    return type(module).__name__ + (f"({words})" if words or not module.modules else "")


def shape_text(value):
    """The shape of a tensor in words, ``1x3x224x224``; ``[1x4, 1x5]`` for a table; empty for all else."""
    if nested.is_table(value):
        return "[" + ", ".join(map(shape_text, value)) + "]"
    if nested.is_named(value):
        return "{" + ", ".join(f"{name}: {shape_text(item)}" for name, item in value.items()) + "}"
    return ("x".join(map(str, value.shape)) or "number") if tensor.is_tensor(value) else ""


def _row(module, number, parameters):
    learns = f"{parameters:,}" if parameters else ""
    weight = "font-weight:600" if module.modules else ""
    label = f'<span style="opacity:.5;display:inline-block;min-width:2.2em">{number}</span>' if number else ""
    text = html.escape(head(module))
    return (f'<span style="{_NAME};{weight}" title="{text}">{label}{text}</span>'
            f'<span style="{_NUMBER.format(16, .75)}">{html.escape(shape_text(module.output))}</span>'
            f'<span style="{_NUMBER.format(8, 1)}">{learns}</span>')


def _counts(module):
    """How many modules each tree has, and how many parameters: shared ones count where they are first."""
    order, seen = [], set()
    waiting = [module]
    own, count = {}, {}
    while waiting:
        here = waiting.pop()
        order.append(here)
        total = 0
        for name in here.paramNames:
            value = getattr(here, name, None)
            if tensor.is_tensor(value) and id(value) not in seen:
                seen.add(id(value))
                total += value.size
        own[id(here)], count[id(here)] = total, 1
        waiting += reversed(here.modules)
    for here in reversed(order):  # children come before their parents
        own[id(here)] += sum(own[id(child)] for child in here.modules)
        count[id(here)] += sum(count[id(child)] for child in here.modules)
    return count, own
