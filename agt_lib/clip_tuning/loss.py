"""The contrastive loss of section 2.1, equation 1, and its two other readings.

B clips of a whole step, b of them here, C classes, D features.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive(
    video: Tensor, text: Tensor, scale: Tensor, labels: Tensor, batch_labels: Tensor, kind: str
) -> Tensor:
    """Each clip's loss, (b,), from unscaled embeddings video (b, D) and text (C, D).

    `labels` (b,) number the clips' classes, `batch_labels` (B,) those of the whole step; `scale`
    is 1 / temperature. Equation 1 contrasts a clip with the prompts of all clips j of the batch:

    - `prompts`: j runs over the C class prompts instead, each once;
    - `in_batch`: as printed: one positive, other clips of the class are negatives;
    - `in_batch_multi`: all clips of the class are positives.

    A prompt depends on the class alone, so the sum over j is one over classes weighted by their
    number of clips. The last two therefore differ by log(clips of the class), a constant: they
    have the same gradient, that of `prompts` with the batch's class shares as prior. And no
    embedding of another process is needed: the labels of the step suffice.
    """
    cosines = F.normalize(video, dim=-1) @ F.normalize(text, dim=-1).T  # (b, C)
    logits = scale * cosines
    if kind == "prompts":
        return F.cross_entropy(logits, labels, reduction="none")
    counts = torch.bincount(batch_labels, minlength=len(text)).to(logits.dtype)  # (C,)
    total = torch.logsumexp(logits + counts.log(), dim=1)  # (b,); log 0 = -inf leaves a class out
    own = logits.gather(1, labels[:, None])[:, 0]
    if kind == "in_batch_multi":
        own = own + counts[labels].log()
    return total - own
