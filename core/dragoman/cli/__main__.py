"""``python -m dragoman.cli`` is the command ``dragoman``, where scripts are not on the path."""

from dragoman.cli.main import main

if __name__ == "__main__":
    main(prog_name="dragoman")
