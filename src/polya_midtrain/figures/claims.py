"""The primary part of every claim: its verdict, and its effect in units of the smallest effect of interest."""

from __future__ import annotations

import textwrap

from polya_midtrain import paths
from polya_midtrain.figures.style import GREY, Drawing, Look, legend, names_axis, panels, paper_mark
from polya_midtrain.ledger.lines import Ledger, Line
from polya_midtrain.params import Params

LEDGER = paths.CLAIMS_REPORT.with_suffix(".json")
MOST = 5.0  # smallest effects, to either side; what lies beyond is an arrow
WORDS = 44  # letters in a line of a claim's words
LOOKS = {
    "replicated": Look("#009E73", "o"),
    "not replicated": Look("#D55E00", "X"),
    "inconclusive": Look("#0072B2", "D", filled=False),
}


def draw(params: Params) -> Drawing | None:
    """A line a claim, as the ledger has them. None where no claim was tested."""
    claims = Ledger.read(LEDGER)
    statements = {claim.claim: claim.statement for claim in claims.claims}
    parts = [line for line in claims.lines if line.role == "primary"]
    tested = {
        place: line
        for place, line in enumerate(parts)
        if line.verdict in LOOKS and line.ours is not None and line.sesoi
    }
    if not tested:
        return None
    figure, (axes,) = panels(1, 1, 0.9 + 0.46 * len(parts))
    axes.axvline(0.0, color=GREY, linewidth=0.9)
    axes.axvspan(1.0, MOST, color="#009E73", alpha=0.07, linewidth=0)
    for verdict, look in LOOKS.items():
        for place, line in tested.items():
            if line.verdict == verdict:
                low, value, high = (min(max(end, -MOST), MOST) for end in _ends(line))
                axes.plot([low, high], [place, place], color=look.colour, linewidth=1.4, solid_capstyle="butt")
                for end, tip in ((low, "<"), (high, ">")):
                    beyond = abs(end) == MOST
                    axes.plot(end, place, tip if beyond else "|", color=look.colour, markersize=5, clip_on=False)
                face = look.colour if look.filled else "white"
                axes.plot(
                    value, place, look.marker, color=look.colour, markerfacecolor=face, markersize=6, label=verdict
                )
    for place, line in tested.items():
        if line.paper_size is not None and line.sesoi is not None:
            paper_mark(axes, min(line.paper_size / line.sesoi, MOST), place)
    for place, line in enumerate(parts):
        if place not in tested:
            axes.text(0.1, place, line.verdict, va="center", color=GREY, fontsize=8)
    names_axis(axes, [_name(statements, line) for line in parts])
    axes.set_xlim(-MOST, MOST)
    axes.set_xlabel("effect in the claimed direction, in smallest effects of interest")
    axes.set_title("against the claim  |  as claimed; shaded: of interest")
    legend(figure, [axes])
    said = [f"{line.claim} {line.verdict}: {line.here}, smallest effect {line.smallest}" for line in tested.values()]
    return Drawing(
        figure,
        "The claims, each by its primary part",
        f"Effect with its {params.tables.confidence:.0%} interval, divided by the smallest effect of interest that was "
        "fixed before the run, to the right if it goes the way that the paper says. Star: the paper's effect, where it "
        f"is known in our unit. An interval beyond {MOST:g} ends in an arrow. Effects in their own units are in the "
        "table of parts.",
        f"A row for each claim. {'; '.join(said)}.",
        (str(LEDGER),),
    )


def _ends(line: Line) -> tuple[float, float, float]:
    """Low end, effect and high end in smallest effects of interest, the claimed direction being positive."""
    assert line.sesoi is not None  # nosec B101 # of a part that was tested both are there
    assert line.ours is not None  # nosec B101
    scale, value = line.sesoi * (-1.0 if line.direction == "down" else 1.0), line.ours
    ends = [(value if end is None else end) / scale for end in (line.low, line.high)]
    return min(ends), value / scale, max(ends)


def _name(statements: dict[str, str], line: Line) -> str:
    words = textwrap.shorten(statements.get(line.claim[:-1], line.statement), 2 * WORDS - 8, placeholder=" ...")
    return f"{line.claim[:-1]}  " + "\n".join(textwrap.wrap(words, WORDS))
