"""`python -m tui`: the command line, for those who start it as a process of its own."""

from tui.cli import main

if __name__ == "__main__":
    main(prog_name="autoresearch-tui")
