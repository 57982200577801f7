"""python -m nnmod: the nnmod command."""
import sys

from .cli import main

sys.exit(main())
