"""Figure 1: the framework in two stages, in our own layout.

Stage 1 is sections 2.1 and 2.2 of the paper (features, CBT, AMF), stage 2 section 2.3
(pseudo-labels, probing, vote).
"""

from matplotlib.figure import Figure

import drawing
from agt_lib.evaluation.palette import INK, MODALITY_COLOURS, QUIET
from drawing import Box, Canvas

HEIGHT = 4.0
VOICE, FACE, WORDS = (MODALITY_COLOURS[m] for m in ("audio", "video", "text"))
FIRST = Box(0.04, 1.84, 6.92, 2.12)
SECOND = Box(0.04, 0.04, 6.92, 1.66)

CAPTION = (
    "Figure 1. The framework, in our own layout. Stage 1: frozen or tuned encoders turn voice, "
    "face and words into features A, V, T; a context-based transformer (CBT) lets the voice guide "
    "face and words, adaptive multimodal fusion (AMF) leaves out what deviates. Stage 2: what "
    "three models agree on joins the training set, again and again; then they vote, by a rule "
    "chosen from the probed shares of the test labels."
)


def canvas() -> Canvas:
    """The page with figure 1 on it."""
    page = Canvas(drawing.DOUBLE_COLUMN, HEIGHT)
    page.panel(FIRST, "Stage 1: labelled clips")
    page.panel(SECOND, "Stage 2: unlabelled clips")
    _fusion(page, *_features(page))
    _second_stage(page)
    return page


def draw() -> Figure:
    """Figure 1, two columns wide."""
    return canvas().figure


def _features(page: Canvas) -> list[Box]:
    """Clip, encoder and feature of each modality; returns the features V, A, T, from above."""
    tokens = []
    rows = (
        (3.58, drawing.frames, "face", "CLIP ViT-L/14", "fine-tuned (fig. 2a)", "V", "768", FACE),
        (2.92, drawing.sound, "voice", "HuBERT-large", "frozen", "A", "1024", VOICE),
        (2.26, drawing.words, "words", "Baichuan-13B", "ranked prompt (2b)", "T", "5120", WORDS),
    )
    for y, icon, name, model, how, letter, width, colour in rows:
        icon(page, Box(0.38, y - 0.09, 0.56, 0.32))
        page.text((0.66, y - 0.19), name, size=drawing.SMALL)
        encoder = page.box(Box(1.16, y - 0.2, 1.14, 0.4), f"{model}\n{how}", colour)
        token = page.box(
            Box(2.52, y - 0.14, 0.28, 0.28), letter, colour, drawing.TITLE, weight="bold"
        )
        page.text((2.66, y - 0.225), width, size=drawing.SMALL, color=QUIET)
        page.arrow((0.96, y), encoder.left())
        page.arrow(encoder.right(), token.left())
        tokens.append(token)
    return tokens


def _fusion(page: Canvas, face: Box, voice: Box, words: Box) -> None:
    """CBT of each pair, their sum, AMF, classifier (equation 2)."""
    inside = "self-attention + skip\nfeed-forward + skip"
    upper = page.titled(Box(3.14, 2.99, 1.2, 0.56), "CBT (cat [A, V])", inside)
    lower = page.titled(Box(3.14, 2.29, 1.2, 0.56), "CBT (cat [A, T])", inside)
    bend, y = 2.97, voice.centre[1]
    for other, at in ((face, upper.left(0.75)), (words, lower.left(0.25))):
        page.arrow(other.right(), (bend, other.centre[1]), (bend, at[1]), at)
    for at in (upper.left(0.25), lower.left(0.75)):
        page.arrow(voice.right(), (bend, y), (bend, at[1]), at, colour=VOICE, width=1.6)

    plus = page.plus((4.56, y))
    page.arrow(upper.right(), (4.56, upper.centre[1]), plus.top())
    page.arrow(lower.right(), (4.56, lower.centre[1]), plus.bottom())
    amf = page.titled(
        Box(4.84, 2.29, 1.16, 1.26), "AMF",
        "attention between\nmodalities; one that\nis unlike all others\nis zeroed", gap=0.38,
    )  # fmt: skip
    for x, letter, colour in ((5.1, "V", FACE), (5.42, "A", VOICE), (5.74, "T", WORDS)):
        zeroed = letter == "T"
        token = page.box(
            Box(x - 0.11, 2.99, 0.22, 0.22), letter, None if zeroed else colour,
            drawing.BODY, weight="bold",
        )  # fmt: skip
        if zeroed:
            page.axes.plot(*zip(token.left(0), token.right(1), strict=True), color=INK, lw=0.8)
    page.arrow(plus.right(), amf.left())

    head = page.frame(Box(6.32, 2.56, 0.54, 0.72))
    drawing.bars(page, Box(6.38, 2.66, 0.42, 0.52), (0.2, 0.25, 0.1, 0.95, 0.4, 0.15))
    page.text((6.59, 2.51), "six\nemotions", size=drawing.SMALL, va="top")
    page.arrow(amf.right(), head.left())
    page.text((6.16, y + 0.11), "$X_f$")


def _second_stage(page: Canvas) -> None:
    """Three models, what they agree on, and their vote (section 2.3)."""
    y = 0.86
    clips = page.box(Box(0.38, y - 0.31, 0.8, 0.62), "unlabelled\nclips, test\nclips among\nthem")
    models = page.frame(Box(1.42, y - 0.61, 1.04, 1.22))
    names = (("HuBERT alone", VOICE), ("baseline", None), ("AGT", None))
    for row, (name, colour) in enumerate(names):
        page.box(Box(1.48, y + 0.25 - 0.39 * row, 0.92, 0.28), name, colour)
    agree = page.titled(
        Box(2.76, 0.99, 1.24, 0.5), "agreement", "all three say the same,\neach with p > 0.9"
    )
    pseudo = page.box(Box(4.2, 0.99, 0.56, 0.5), "pseudo-\nlabels")
    probe = page.titled(
        Box(2.76, 0.17, 2.0, 0.52), "black-box probe",
        "a submission of one label only:\nits score tells that label's share",
    )  # fmt: skip
    vote = page.titled(
        Box(4.98, y - 0.56, 1.24, 1.12), "vote",
        "majority; but if one\nsays sad or worried,\n80 % HuBERT, 20 %\nbaseline or AGT",
    )  # fmt: skip
    emotion = page.box(Box(6.4, y - 0.14, 0.48, 0.28), "emotion")

    page.arrow(clips.right(), models.left())
    page.arrow((models.right()[0], agree.centre[1]), agree.left())
    page.arrow(models.right(), vote.left())
    page.arrow(agree.right(), pseudo.left())
    page.arrow(probe.right(), (vote.x, probe.centre[1]))
    page.arrow(vote.right(), emotion.left())
    labels = ("trained models", "join the training set; train again")
    for (x, top), label in zip((models.top(), pseudo.top()), labels, strict=True):
        ends = (x, FIRST.y), (x, top)
        page.arrow(*(ends if label == labels[0] else ends[::-1]))
        page.text((x + 0.07, 1.59), label, size=drawing.SMALL, ha="left")


if __name__ == "__main__":
    drawing.main(draw(), "figure1", CAPTION)
