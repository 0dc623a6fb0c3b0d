"""Themes: colours by meaning, one TOML file each. `themes.loader` reads them; knows no terminal and no widget."""
