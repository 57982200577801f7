"""Models on disk.  The only place that knows a file format."""
from .checkpoint import load_checkpoint as load_checkpoint
from .checkpoint import save_checkpoint as save_checkpoint
from .t7 import load as load
from .t7 import save as save
from .t7_format import T7Error as T7Error
