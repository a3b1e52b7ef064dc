"""The stage: the one large picture of a tab."""

from tabs.components import Component


class Stage(Component):
    """One large picture. Value: components.raw(x) with `caption` and `label` (for screen readers), or {"message": sentence}.

    poster: data URI of a picture that is shown until the first value arrives.
    """

    def __init__(self, value=None, poster="", **props):
        super().__init__(value, poster=poster, **props)
