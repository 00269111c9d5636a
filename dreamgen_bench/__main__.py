"""`python -m dreamgen_bench` is `dreamgen-bench`."""

from .cli import main

if __name__ == "__main__":
    main()
