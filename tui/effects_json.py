"""The JSON of `effects --json`: a stable interface, described in the README. Knows no terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from core.analysis import Analysis, Cell
from core.design import Design, aliases, resolution, scale_of
from core.effects import Effect, Fit
from core.ids import ExperimentId

VERSION = 1


def facts(
    analysis: Analysis,
    *,
    simulated: bool = False,
    repeated: Mapping[ExperimentId, Collection[ExperimentId]] = {},
) -> dict[str, Any]:
    """The stable interface of `effects --json`; documented in the README, versioned by "version".

    `repeated`: the duplicates of an experiment whose runs count for it.
    """
    fit, best, design = analysis.fit, analysis.predicted, analysis.design
    return {
        "version": VERSION,
        "simulated": simulated,
        "wave": analysis.wave,
        "parent": analysis.parent,
        "gpu_type": analysis.gpu_type,
        "problem": analysis.problem,
        "design": design and _design(design, is_sound=not analysis.problem),
        "noise": {"sd": analysis.noise.sd, "df": analysis.noise.df, "measured_df": analysis.noise.measured_df},
        "error": dict(zip(("sd", "df"), fit.error, strict=True)) if fit else None,
        "residual": _residual(fit) if fit else None,
        "cells": [_cell(cell, repeated) for cell in analysis.cells],
        "effects": [_effect(effect) for effect in fit.effects] if fit else [],
        "missing": [{"factors": m.factors, "reason": m.reason} for m in fit.missing] if fit else [],
        "predicted": best
        and {
            "cell": best.cell,
            "val_bpb": best.val_bpb,
            "standard_error": best.standard_error,
            "low": best.low,
            "high": best.high,
            "tested": best.is_tested,
        },
        "turning": (found := analysis.turning)
        and {"shape": found.shape, "codes": found.codes, "inside": found.is_inside, "others": found.cell},
    }


def _design(design: Design, *, is_sound: bool) -> dict[str, Any]:
    return {
        "kind": design.kind,
        "factors": [
            {"name": f.name, "levels": f.levels, "scale": scale_of(f), "structural": bool(f.edits)}
            for f in design.factors
        ],
        "generators": design.generators,
        "resolution": resolution(design) if is_sound else None,
        "aliases": aliases(design) if is_sound else [],
    }


def _cell(cell: Cell, repeated: Mapping[ExperimentId, Collection[ExperimentId]]) -> dict[str, Any]:
    names = ("experiment", "standing", "status", "title", "cell", "twin")
    measured = ("gpu_type", "runs", "mean", "delta", "standard_error", "level")
    repeats = sorted(repeated.get(cell.experiment, ())) if cell.experiment else []
    return {name: getattr(cell, name) for name in names + measured} | {"repeated_by": repeats}


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "factors": effect.factors,
        "levels": effect.levels,
        "size": effect.size,
        "standard_error": effect.standard_error,
        "low": effect.low,
        "high": effect.high,
        "clear": effect.is_clear,
        "sure": effect.is_sure,
        "aliases": [{"factors": alias.factors, "sign": alias.sign} for alias in effect.aliases],
        "mixed": effect.mixed,
    }


def _residual(fit: Fit) -> dict[str, Any]:
    return {"sd": fit.residual_sd, "df": fit.residual_df, "beyond_noise": fit.is_off}
