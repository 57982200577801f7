"""Files that are replaced in one step: a crash leaves the old one or the new one, never half."""
import contextlib
import os
import secrets


def write(path, fill):
    """Let ``fill(file)`` write a new file, and put it in the place of *path* when all is on disk.

    The file at *path* stays as it was if anything fails.
    """
    path = os.path.realpath(path)  # a link goes on pointing to the file
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # the new name must reach the disk too
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
