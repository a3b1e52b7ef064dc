"""Pictures with the discriminator's score of each."""

from tabs.components import Component


class Gallery(Component):
    """Pictures with their scores. Value: components.sheet(x, columns) with `across` (columns on the page), `kinds` (one letter
    per picture: r real, g generated, ? not revealed) and `labels` (one line per picture, for screen readers), or
    {"message": sentence}.

    With `scores` (numbers in one string) each picture has its score and a bar below it; `histogram`, JSON of {"edges",
    "real", "generated"} (shares), sets the scale of the bars and is drawn under the pictures. `visitor_choice` and
    `discriminator_choice`: indices of what they chose. Event `input`, if pick: the visitor chose picture `event.index`.
    poster: data URI of a picture that is shown until there is a value.
    """

    def __init__(self, value=None, pick=False, poster="", name="Pictures", **props):
        super().__init__(value, pick=pick, poster=poster, name=name, **props)
