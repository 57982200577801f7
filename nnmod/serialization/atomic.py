"""Files that are replaced in one step: a crash leaves the old one or the new one, never half."""
import contextlib
import os
import secrets


def write(path, fill):
    """Let ``fill(file)`` write a new file, and put it in the place of *path* when all is on disk.

    The file at *path* stays as it was if anything fails.  Where the system has files without a
    name (Linux, on most disks), a process that is killed on the way leaves nothing behind either;
    elsewhere it leaves a hidden file that ends in ``.tmp``.
    """
    path = os.path.realpath(path)  # a link goes on pointing to the file
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{secrets.token_hex(4)}.tmp")
    unnamed = _unnamed(os.path.dirname(path))
    try:
        with open(temporary, "xb") if unnamed is None else open(unnamed, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
            if unnamed is not None:
                # With a folder given, Python follows the link to the file itself.
                os.link(f"/proc/self/fd/{unnamed}", temporary, src_dir_fd=unnamed, follow_symlinks=True)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            error.filename = path  # the name that the caller knows
        raise
    if os.name == "posix":  # the new name must reach the disk too
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _unnamed(folder):
    """A descriptor of a new file in *folder* that has no name yet, None where there are no such files."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError:  # the disk has none, or the folder is not to be written: the usual way says which
        return None
