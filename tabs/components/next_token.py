"""Next-token probabilities, before and after temperature and cut-offs."""

from tabs.components import Component


class NextToken(Component):
    """Bars of the most likely next tokens. Value: `context` (the end of the text), `symbols` (JSON, the most likely first),
    `logits` (numbers in one string, in the same order), and `options`: [temperature, top_k, top_p, min_p]; or {"message":
    sentence}.

    A change of `options` alone needs no server: the script computes what `genmodels.transformer.warp_logits` would.
    """
