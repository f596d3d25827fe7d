"""pass@k against k, one panel an arm, before and after RL."""

from __future__ import annotations

from polya_midtrain.figures.data import Table, interval, sizes
from polya_midtrain.figures.style import PHASE_LOOKS, VANILLA, Drawing, band, legend, line, log2_axis, panels
from polya_midtrain.params import Params
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.tables.row import MEAN, PASS, Row

TABLE = {"before": "midtrain", "after": "main"}  # the table of each phase


def draw(params: Params) -> Drawing:
    """The arms in the order of params.yaml; a dotted line repeats vanilla after RL in every other arm's panel."""
    found: dict[tuple[str, str], list[Row]] = {}
    for phase, name in TABLE.items():
        for point in Table(name).need(PASS, benchmark=MEAN, phase=phase):
            found.setdefault((point.arm, phase), []).append(point)
    arms = [arm for arm in params.arms if all((arm, phase) in found for phase in TABLE)]
    columns = min(4, len(arms))
    rows = -(-len(arms) // columns)
    figure, axes = panels(rows, columns, 0.9 + 1.65 * rows, sharex=True, sharey=True)
    ks = [point.k or 0 for point in found[arms[0], "after"]]
    for place, (one, arm) in enumerate(zip(axes, arms, strict=False)):
        for phase, look in PHASE_LOOKS.items():
            band(one, ks, found[arm, phase], look, f"{phase} RL")
        if arm != REFERENCE and (REFERENCE, "after") in found:
            line(one, ks, [point.value for point in found[REFERENCE, "after"]], VANILLA, f"{REFERENCE} after RL")
        log2_axis(one, ks, "k (samples)" if place // columns == rows - 1 else "")
        one.set_xticks(ks, [str(k) if i % 2 == 0 or len(ks) < 5 else "" for i, k in enumerate(ks)])
        one.tick_params(labelbottom=place + columns >= len(arms))  # nothing below it
        one.set_title(arm)
        one.set_ylim(0.0, 1.03)
        if place % columns == 0:
            one.set_ylabel("pass@k (share)")
    for one in axes[len(arms) :]:
        one.remove()
    legend(figure, axes[: len(arms)])
    last = found[arms[0], "after"][-1]
    return Drawing(
        figure,
        "pass@k before and after RL",
        f"Mean pass@k over benchmarks, one panel an arm: {sizes(last)}. Bands: {interval(last, params)}. The k axis is "
        f"logarithmic. Dotted: {REFERENCE} after RL.",
        _alt(arms, found),
        tuple(f"reports/tables/{name}.csv" for name in TABLE.values()),
    )


def _alt(arms: list[str], found: dict[tuple[str, str], list[Row]]) -> str:
    k = found[arms[0], "after"][-1].k
    text = f"Line charts of pass@k, k from {found[arms[0], 'after'][0].k} to {k}, for {len(arms)} arms."
    for phase in TABLE:
        ends = [f"{arm} {found[arm, phase][-1].value:.2f}" for arm in arms]
        text += f" pass@{k} {phase} RL: {', '.join(ends)}."
    changes = {arm: found[arm, "after"][-1].value - found[arm, "before"][-1].value for arm in arms}
    raised = [arm for arm, change in changes.items() if change > 0]
    lowered = [arm for arm, change in changes.items() if change < 0]
    text += f" RL raises it in {', '.join(raised) or 'no arm'} and lowers it in {', '.join(lowered) or 'no arm'}."
    return text
