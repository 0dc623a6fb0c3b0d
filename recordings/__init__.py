"""Recordings that ship with the program: real sessions, to be played without a GPU."""
