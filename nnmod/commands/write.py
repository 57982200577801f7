"""Files that the command is about to write."""
import os

from .text import CommandError


def guard(path, force):
    """Raise CommandError if *path* exists and is not to be replaced, or is no place for a file."""
    if os.path.isdir(path):
        raise CommandError(f"{path} is a directory: name the file to write")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise CommandError(f"{path} cannot be written: there is no directory {folder}")
    if os.path.lexists(path) and not force:
        raise CommandError(f"{path} exists: --force replaces it")
