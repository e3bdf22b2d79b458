"""Feature extractors: one file each, all of them `base.Encoder`."""

from agt_lib.features.encoder import CheckpointError, Encoder
from agt_lib.workspace import paths

__all__ = ["KINDS", "CheckpointError", "Encoder", "build"]

KINDS = ("opensmile", "clip", "hubert", "causal_lm", "smollm2")


def build(spec: str, **options) -> Encoder:
    """The encoder that `spec` names, "KIND" or "KIND:MODEL"; `options` go to its constructor.

    - "opensmile": eGeMAPSv02 functionals;
    - "clip" (the small CLIP of this repository), "clip:ViT-L-14/openai", "clip:local-dir:FOLDER";
    - "hubert:MODEL", "causal_lm:MODEL": a name on the hub, or a folder (or GGUF file) here;
      "causal_lm:baichuan-inc/Baichuan-13B-Base" is the paper's, loaded without its remote code;
    - "smollm2": the language model that `make model` puts under `data/models`.

    Raises ValueError for an unknown kind or a model missing from or wrong in `spec`, and
    CheckpointError where the model can't be had.
    """
    kind, _, model = spec.partition(":")
    if kind not in KINDS:
        raise ValueError(f"unknown encoder {spec!r}; expected one of {', '.join(KINDS)}[:MODEL]")
    if kind in ("hubert", "causal_lm") and not model:
        raise ValueError(f"encoder {spec!r} names no model; expected {kind}:NAME_OR_FOLDER")
    if kind in ("opensmile", "smollm2") and model:
        raise ValueError(f"encoder {spec!r}: {kind} takes no model; expected {kind!r}")
    # Each kind brings a heavy library of its own, hence imports where they are needed.
    if kind == "opensmile":
        from agt_lib.features.opensmile import OpenSmileEncoder

        return OpenSmileEncoder(**options)
    if kind == "clip":
        from agt_lib.features.clip import ClipEncoder

        return ClipEncoder(model or f"local-dir:{paths.SMALL_CLIP}", **options)
    if kind == "hubert":
        from agt_lib.features.hubert import HubertEncoder

        return HubertEncoder(model, **options)
    from agt_lib.features.language_model import CausalLMEncoder

    if kind == "smollm2":
        from agt_lib.features import smollm2

        return CausalLMEncoder(smollm2.require(), **options)
    return CausalLMEncoder(model, **options)
