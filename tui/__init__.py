"""Windows on the core: the command line, and the place of the full-screen control room."""

__version__ = "0.1.0"
