"""What a researcher that thinks aloud did, as one sentence per fact. Pure; whoever shows its text cleans it."""

from __future__ import annotations

from core import thinking as th


def spoken(fact: th.Thinking) -> str:
    match fact:
        case th.ResearcherSaid(text=text):
            return f"researcher: {' '.join(text.split())}" if text.strip() else ""
        case th.ToolUsed(tool=tool, told=told, error=error):
            return f"researcher used {tool}: {told}{f'; refused: {error}' if error else ''}"
        case th.ModelCalled():
            return _called(fact)
        case th.NotebookWritten(text=text):
            return f"notebook: {' '.join(text.split())}"
        case th.ResearcherWaits(reason=reason):
            return f"the researcher waits for results: {reason}"
        case th.StandInAsked(stand_in=name, reason=reason):
            return f"{name} researcher stands in: {reason}" if name else f"the researcher is back: {reason}"
        case th.WaveOffered(by=by, plan=plan):
            return f"{by} offers a wave of {len(plan.ideas)}: {' '.join(plan.reason.split())}"
        case th.RepairTried(experiment=name, by=by, reason=reason):
            return f"{name} is repaired as {by}" if by else f"{name} is not repaired: {reason}"
    return ""


def _called(fact: th.ModelCalled) -> str:
    if fact.error:
        again = f"; tried again in {max(0.0, fact.again_at - fact.at):.0f} s" if fact.again_at is not None else ""
        return f"{fact.model} did not answer: {fact.error}{again}"
    read = fact.cache_read_tokens + fact.cache_write_tokens + fact.input_tokens
    cached = f", {fact.cache_read_tokens / read:.0%} cached" if read else ""
    tokens = f"{read:,} tokens read{cached}, {fact.output_tokens:,} written"
    return f"{fact.model} answered in {fact.seconds:.0f} s: {tokens}, ${fact.usd:.3f}"
