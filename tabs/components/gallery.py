"""Pictures with the discriminator's score of each."""

from typing import NotRequired, TypedDict

from tabs.components import Component, Raw


class Picture(TypedDict):
    kind: str  # "real", "generated" or "": not revealed
    label: str  # for screen readers
    score: NotRequired[float]  # is shown with a bar below the picture


class Gallery(Component):
    """Pictures with their scores. Event `input`, if pick: the visitor chose picture `event.index`.

    poster: data URI of a picture that is shown until there is a value. follows: id of sliders, each of whose moves calls the
    server's function `follow` with {"shown": of the present value, "z": their code}; it answers with a value to be shown until
    the sliders rest, when an event has to set the value anew.
    """

    options = {"pick": False, "poster": "", "name": "Pictures", "follows": ""}

    class Value(Raw):
        across: int  # columns on the page
        pictures: list[Picture]
        shown: NotRequired[dict]  # what `follow` has to know beside the code
        moving: NotRequired[bool]  # a slider moves: no scores, and those of earlier pictures are not seen
        histogram: NotRequired[str]  # JSON of a `Histogram`: sets the scale of the bars, and is drawn under the pictures
        visitor_choice: NotRequired[int]  # index
        discriminator_choice: NotRequired[int]
        round: NotRequired[int]  # of a quiz, for its link
