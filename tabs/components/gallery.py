"""Pictures with the discriminator's score of each."""

from typing import NotRequired

from tabs.components import Component, Sheet


class Gallery(Component):
    """Pictures with their scores. Event `input`, if pick: the visitor chose picture `event.index`.

    poster: data URI of a picture that is shown until there is a value.
    """

    class Value(Sheet):
        across: int  # columns on the page
        kinds: str  # a letter per picture: r real, g generated, ? not revealed
        labels: str  # a line per picture, for screen readers
        scores: NotRequired[str]  # numbers with spaces: each picture has its score and a bar below it
        histogram: NotRequired[str]  # JSON of a `Histogram`: sets the scale of the bars, and is drawn under the pictures
        visitor_choice: NotRequired[int]  # index
        discriminator_choice: NotRequired[int]

    def __init__(self, value=None, pick=False, poster="", name="Pictures", **props):
        super().__init__(value, pick=pick, poster=poster, name=name, **props)
