"""Pictures and what the discriminator thinks of each."""

from tabs.components import Component


class Gallery(Component):
    """Pictures with their scores. Value: components.sheet(x, columns) with `across` (columns on the page), `kinds` (a letter a
    picture: r real, g generated, ? not to be told) and `labels` (a line each, to be read out), or {"message": sentence}.

    With `scores` (numbers in one string) each has its score under it, and a bar; `hills`, JSON of {"edges", "real",
    "generated"} (shares), says how long the bars are and is drawn below. `chosen` and `its`: numbers of the visitor's and of
    the discriminator's choice. Event `input`, if pick: the visitor chose number `event.index`.
    poster: data URI of a picture that stands there at first.
    """

    def __init__(self, value=None, pick=False, poster="", name="Pictures", **props):
        super().__init__(value, pick=pick, poster=poster, name=name, **props)
