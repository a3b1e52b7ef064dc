"""The probabilities of the next token, and what temperature and cut-offs make of them."""

from tabs.components import Component


class NextToken(Component):
    """Bars of the likeliest next tokens. Value: `before` (the text's end), `symbols` (JSON, likeliest first), `logits` (numbers
    in one string, in the same order), and `cuts`: [temperature, top_k, top_p, min_p]; or {"message": sentence}.

    Whoever changes `cuts` alone needs no server: the script computes what `genmodels.transformer.filtered` would.
    """
