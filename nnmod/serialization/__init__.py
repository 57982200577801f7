"""Models on disk.  The only place that knows a file format."""
from .checkpoint import load_checkpoint as load_checkpoint
from .checkpoint import save_checkpoint as save_checkpoint
