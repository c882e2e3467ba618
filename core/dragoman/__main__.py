"""``python -m dragoman``: the command line, for where the script is not on the path."""

from __future__ import annotations

from dragoman.cli.main import main

if __name__ == "__main__":
    main(prog_name="dragoman")
