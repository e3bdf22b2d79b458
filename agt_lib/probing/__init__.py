"""Black-box probing (section 2.3): the test labels' shares from the scores of constant guesses."""

from agt_lib.probing.files import read_scores, write_submissions
from agt_lib.probing.leaderboard import Leaderboard
from agt_lib.probing.metrics import METRICS
from agt_lib.probing.probe import InconsistentScores, Probed, infer, probe
from agt_lib.probing.scores import Score
from agt_lib.probing.table import betrayed, distances, paper_prior, paper_scores, prior_table

__all__ = [
    "METRICS",
    "InconsistentScores",
    "Leaderboard",
    "Probed",
    "Score",
    "betrayed",
    "distances",
    "infer",
    "paper_prior",
    "paper_scores",
    "prior_table",
    "probe",
    "read_scores",
    "write_submissions",
]
