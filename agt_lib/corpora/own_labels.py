"""Corpora with labels of their own: these, or the six emotions of MER2024."""

from collections.abc import Mapping, Sequence

from agt_lib.corpora.labels import EMOTIONS

OWN, SIX = "own", "six"


def chosen_labels(
    labels: Sequence[str], own: Sequence[str], to_six: Mapping[str, str], default: str = OWN
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The label set, and what each of a corpus' `own` labels becomes in it; others are left out.

    `labels` are ("own",), ("six",) for those of `to_six` under the names of MER2024, or some of
    the own ones; if empty the `default`, one of these words. Raises ValueError for others.
    """
    labels = tuple(labels) or (default,)
    if labels == (OWN,):
        labels = tuple(own)
    if labels == (SIX,):
        return EMOTIONS, dict(to_six)
    if unknown := [label for label in labels if label not in own]:
        raise ValueError(
            f"labels are {OWN!r}, {SIX!r} or some of this corpus' own, {', '.join(own)}; got "
            f"{', '.join(unknown)}"
        )
    return labels, {label: label for label in labels}
