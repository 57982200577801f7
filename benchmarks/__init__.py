"""How fast nnmod is, beside its peers: one table a file; ``python -m benchmarks`` prints them.

harness.py times and prints; every other file that defines ``rows`` holds a table.
"""
