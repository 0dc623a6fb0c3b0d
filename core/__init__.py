"""The core: research as a log of facts and a fold over it. It knows no terminal, no cluster and no torch."""
