"""The profiles: what a notebook runs on if it is told nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agt_lib.workspace import machine


@dataclass(frozen=True)
class Profile:
    """What a notebook runs on if it is told nothing else, and how much is repeated.

    Encoders are specifications for `features.build`. An empty `corpus` is the user's to name.
    """

    name: str
    corpus: str
    audio: str
    video: str
    text: str
    n_seeds: int = 3  # the peer toolkit averages six; three give the spread
    n_folds: int = 5  # the peer toolkit's cross-validation
    n_ablation_seeds: int = 1
    max_epochs: int | None = None  # None: the trainer's default


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke", "smoke", "opensmile", "clip", "smollm2", n_seeds=1, n_folds=3, max_epochs=8
        ),
        Profile("mini", "mini", "opensmile", "clip", "smollm2", n_seeds=5, n_ablation_seeds=3),
        Profile("local", "", "opensmile", "fer", "smollm2"),  # your clips, and no hub
        Profile(
            "base",
            "",
            "hubert:TencentGameMate/chinese-hubert-base",
            "clip:ViT-B-32/openai",
            "smollm2",
        ),
        Profile(  # section 2.1 of the paper
            "paper",
            "",
            "hubert:TencentGameMate/chinese-hubert-large",
            "clip:ViT-L-14/openai",
            "causal_lm:baichuan-inc/Baichuan-13B-Base",
            n_seeds=6,
            n_ablation_seeds=3,
        ),
    )
}


def within_reach(profile: Profile, modalities: Sequence[str]) -> Profile:
    """`profile`; if it is "base", with local's encoders for those of `modalities` out of reach.

    They are out of reach if they are not here and the model hub does not answer. That is said.
    """
    away = [m for m in modalities if not machine.is_here(getattr(profile, m))]
    if profile.name != "base" or not away or machine.hub_answers():
        return profile
    others = {m: getattr(PROFILES["local"], m) for m in away}
    said = ", ".join(f"{spec} for {getattr(profile, m)}" for m, spec in others.items())
    print(f"the model hub does not answer: {said}")
    return replace(profile, **others)
