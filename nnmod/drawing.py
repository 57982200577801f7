"""Pictures with matplotlib, which is imported when the first one is drawn."""
import numpy as np

from . import check


def draw_on(where, draw, size):
    """Call *draw* with axes: *where* itself, or those of a new figure that is saved at that path.

    size : the width and height of a new figure, in inches
    """
    if hasattr(where, "get_figure"):
        draw(where)
        return
    figure = new_figure(size, layout="constrained")
    draw(figure.add_subplot())
    figure.savefig(where, dpi=120)


def new_figure(size, **options):
    """A figure of its own: it needs no display, and leaves pyplot's state alone."""
    return check.package("matplotlib.figure", "plot", "drawing").Figure(size, **options)


def pixels(figure):
    """What *figure* looks like: a float32 tensor (3, height, width) within 0..1."""
    canvas = check.package("matplotlib.backends.backend_agg", "plot", "drawing").FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
