"""Figure 2: how the visual and the textual features are fine-tuned, in our own layout.

(a) is equation 1 with the six class prompts as candidates. (b) is a reconstruction: the prompt that
the paper's figure shows is not in its text.
"""

from matplotlib.figure import Figure

import drawing
from agt_lib.evaluation.palette import MODALITY_COLOURS
from drawing import Box, Canvas

HEIGHT = 4.3
FACE, WORDS = MODALITY_COLOURS["video"], MODALITY_COLOURS["text"]
FIRST = Box(0.04, 2.2, 3.32, 2.06)
SECOND = Box(0.04, 0.04, 3.32, 2.04)

CAPTION = (
    "Figure 2. Tuning on emotions, in our own layout. (a) CLIP learns to put a clip's mean frame "
    "embedding v near the text t of its label's prompt; both encoders learn (equation 1, with the "
    "six prompts as candidates). (b) GPT-4 ranks the labels for each transcript, likeliest first; "
    "transcript and ranking go through Baichuan-13B, whose weights stay. The paper's own prompt is "
    "not in its text: this is a reconstruction."
)


def canvas() -> Canvas:
    """The page with figure 2 on it."""
    page = Canvas(drawing.COLUMN, HEIGHT)
    page.panel(FIRST, "(a) CLIP is tuned")
    page.panel(SECOND, "(b) the prompt is tuned")
    _clip(page)
    _prompt(page)
    return page


def draw() -> Figure:
    """Figure 2, a column wide."""
    return canvas().figure


def _clip(page: Canvas) -> None:
    """Frames and class prompts to one loss (equation 1)."""
    y = 3.88
    drawing.frames(page, Box(0.54, y - 0.13, 0.5, 0.36))
    page.text((0.79, y - 0.24), "T frames", size=drawing.SMALL)
    image = page.box(Box(1.3, y - 0.2, 0.66, 0.4), "image\nencoder", FACE)
    mean = page.box(Box(2.16, y - 0.2, 0.52, 0.4), "mean\nover T")
    clip = page.box(Box(2.88, y - 0.14, 0.28, 0.28), "$v$", FACE, drawing.TITLE)
    page.arrow((1.1, y), image.left())
    page.arrow(image.right(), mean.left())
    page.arrow(mean.right(), clip.left())

    y = 3.23
    prompts = Box(0.34, y - 0.2, 0.76, 0.4)
    for behind in (0.06, 0.03):
        page.frame(Box(prompts.x + behind, prompts.y + behind, prompts.width, prompts.height))
    page.box(prompts, "the person\nis ‹emotion›")
    text = page.box(Box(1.3, y - 0.2, 0.66, 0.4), "text\nencoder", WORDS)
    classes = page.box(Box(2.16, y - 0.14, 0.72, 0.28), "$t_1$ … $t_6$", WORDS, drawing.TITLE)
    page.arrow((prompts.right()[0] + 0.06, y), text.left())
    page.arrow(text.right(), classes.left())

    y = 2.56
    similarity = page.box(
        Box(2.08, y - 0.16, 0.88, 0.32), "cos $(v, t_j)$ / $\\tau$", size=drawing.BODY
    )
    loss = page.frame(Box(0.34, y - 0.24, 1.5, 0.48))
    drawing.bars(page, Box(loss.x + 0.07, y - 0.15, 0.42, 0.32), (0.2, 0.25, 0.1, 0.95, 0.4, 0.15))
    page.text((loss.x + 0.96, y), "cross-entropy\nwith the label", size=drawing.SMALL)
    page.arrow(classes.bottom(), similarity.top())
    x = 3.22
    page.arrow(clip.right(), (x, clip.centre[1]), (x, y), similarity.right())
    page.arrow(similarity.left(), loss.right())


def _prompt(page: Canvas) -> None:
    """A transcript, its ranked emotions, and the hidden states of both."""
    y = 1.74
    drawing.words(page, Box(0.51, y - 0.1, 0.56, 0.3))
    page.text((0.79, y - 0.2), "transcript", size=drawing.SMALL)
    ranker = page.box(Box(1.3, y - 0.2, 0.76, 0.4), "GPT-4 ranks\nthe labels")
    ranking = page.box(Box(2.26, y - 0.2, 0.9, 0.4), "sad, worried,\nneutral, …", WORDS)
    page.arrow((1.1, y), ranker.left())
    page.arrow(ranker.right(), ranking.left())

    y = 1.09
    prompt = page.box(Box(0.34, y - 0.16, 2.82, 0.32), "transcript + ranked labels", WORDS)
    page.arrow((0.79, 1.74 - 0.27), (0.79, prompt.top()[1]))
    page.arrow(ranking.bottom(), (ranking.bottom()[0], prompt.top()[1]))

    y = 0.42
    model = page.box(Box(0.34, y - 0.2, 0.9, 0.4), "Baichuan-13B,\nnot tuned", WORDS)
    pooled = page.box(Box(1.48, y - 0.2, 1.2, 0.4), "last 4 layers summed,\nmean over tokens")
    feature = page.box(Box(2.88, y - 0.14, 0.28, 0.28), "T", WORDS, drawing.TITLE, weight="bold")
    page.arrow((model.centre[0], prompt.y), model.top())
    page.arrow(model.right(), pooled.left())
    page.arrow(pooled.right(), feature.left())


if __name__ == "__main__":
    drawing.main(draw(), "figure2", CAPTION)
