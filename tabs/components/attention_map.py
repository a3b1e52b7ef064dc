"""Attention weights among the last tokens."""

from tabs.components import Component


class AttentionMap(Component):
    """Attention of each layer and head among the last tokens of a text. Value: `symbols` (JSON), `n` (how many), `layers`,
    `heads`, `maps`: base64 of layers * heads * n * n bytes, 255 for a weight of 1; or {"message": sentence}.

    What a row lacks to 255 is attention to tokens further back.
    """
