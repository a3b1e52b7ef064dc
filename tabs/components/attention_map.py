"""Who looks at whom."""

from tabs.components import Component


class AttentionMap(Component):
    """Attention of each layer and head among a text's last tokens. Value: `symbols` (JSON), `n` (how many), `layers`, `heads`,
    `maps`: base64 of layers * heads * n * n bytes, 255 for all of a token's attention; or {"message": sentence}.

    What a row lacks to 255 went to tokens further back.
    """
