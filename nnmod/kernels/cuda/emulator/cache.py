"""What was compiled for the emulator, kept in the cache of kernels by the digest of what it was compiled from."""
import hashlib

from ...cpu import cache


def digest(*parts):
    """A name for something made from *parts*."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:40]


def cached(key, kind, build):
    """The bytes that *build* returned for *key* before, or now."""
    path = cache.directory() / f"emulator-{key}.{kind}{cache.SUFFIX}"
    data = cache.read(path)
    if data is None:
        data = build()
        if cache.writable():
            cache.write(path, data)
    return data
