"""What the tests of the GAN tab send and read."""

from tabs import labels

SEVEN, EACH, ANY = "7", labels.EACH, labels.ANY


def kinds_of(value):
    return [picture["kind"] for picture in value["pictures"]]
