"""The colours of all pictures: Okabe and Ito's, told apart by colour-blind readers.

Emotions and modalities share colours, so they never stand in one picture.
"""

BLUE, VERMILION, GREEN, PURPLE, ORANGE = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"
SKY, GREY = "#56b4e9", "#8c8c8c"
INK, QUIET = "#222222", "#666666"

EMOTION_COLOURS = {
    "neutral": GREY,
    "angry": VERMILION,
    "happy": ORANGE,
    "sad": BLUE,
    "worried": PURPLE,
    "surprise": GREEN,
}
MODALITY_COLOURS = {"audio": BLUE, "video": ORANGE, "text": GREEN}
"""In grey the letters A, V, T tell them apart."""

LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
