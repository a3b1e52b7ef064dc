"""The stage: the one large picture of a tab."""

from tabs.components import Component


class Stage(Component):
    """One large picture. Value: components.raw(x) with `caption` and `label` (to be read out), or {"message": sentence}.

    poster: data URI of a picture that stands there until the first value comes.
    """

    def __init__(self, value=None, poster="", **props):
        super().__init__(value, poster=poster, **props)
