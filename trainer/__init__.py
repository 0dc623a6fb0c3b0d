"""A workspace template: train.py, prepare.py and program.md are copied from here, never imported."""
