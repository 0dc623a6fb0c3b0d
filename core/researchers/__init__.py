"""Those who think: each module is one researcher."""
