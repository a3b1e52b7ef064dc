"""The button that copies the link of what is on screen."""

from tabs.components import Component


class Link(Component):
    """A button. place: the path of the tab that it stands in.

    Events, of hosting/links.js: `submit`, what the link `event.query` says is to be shown, in place of `event.current`;
    `input`, the values of the place are asked for.
    """

    options = {"place": ""}
