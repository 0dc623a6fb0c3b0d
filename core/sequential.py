"""The test behind every verdict: a one-sided sequential probability ratio test that may be looked at after every run.

It weighs "no better" against "better by θ", θ in run-to-run standard deviations. With n runs of a change and m of its
baseline, the mean difference D has the information I = 1 / (1/n + 1/m), and under "no better" the likelihood ratio

    Λ = exp(θ·(−D)·I − θ²·I / 2)        (D and I in units of the run-to-run sd)

is a martingale in I whenever one looks, while n and m both grow (the joint law of such statistics: Jennison & Turnbull,
Group Sequential Methods, 2000, ch. 3; the test: Wald, Sequential Analysis, 1947). So P(Λ ever ≥ 1/α) ≤ α by Ville's
inequality: keeping at the first Λ ≥ 1/α errs at most in a share α of the changes that are no better, and in fewer of
those that are worse. Λ ≤ β ends it for futility. Discrete looks overshoot, which makes the true rates smaller still.

The sd is estimated, with few degrees of freedom at first. D·√I is then a t statistic; it enters by its normal
equivalent (Jennison & Turnbull §3.8), with Wallace's approximation (Ann. Math. Statist. 30, 1959, p. 1124).
Knows numbers only.
"""

from __future__ import annotations

import math

MOST_SIGMAS = 1e6


def information(runs: int, baseline_runs: int) -> float:
    """In units of 1/sd²."""
    return 1.0 / (1.0 / runs + 1.0 / baseline_runs)


def log_evidence(sigmas: float, df: float, information: float, worth: float) -> float:
    """log Λ for a difference of `sigmas` standard errors towards better; natural logarithm."""
    return worth * normal_equivalent(sigmas, df) * math.sqrt(information) - worth**2 * information / 2


def sigmas_needed(log_needed: float, df: float, information: float, worth: float) -> float:
    """The standard errors at which `log_evidence` reaches `log_needed`."""
    root = math.sqrt(information)
    return t_equivalent((log_needed + worth**2 * information / 2) / (worth * root), df)


def normal_equivalent(t: float, df: float) -> float:
    """The standard normal deviate that is as improbable as t of Student's t. Wallace 1959.

    For df ≥ 2 within 0.01 up to t = 2 and never more than 0.005 too large: far out it is too small, which keeps less.
    """
    scale = (8 * df + 1) / (8 * df + 3)
    return math.copysign(scale * math.sqrt(df * math.log1p(t * t / df)), t)


def t_equivalent(z: float, df: float) -> float:
    """The inverse of `normal_equivalent`."""
    scale = (8 * df + 1) / (8 * df + 3)
    exponent = (z / scale) ** 2 / df
    return math.copysign(min(MOST_SIGMAS, math.sqrt(df * math.expm1(min(exponent, 60.0)))), z)
