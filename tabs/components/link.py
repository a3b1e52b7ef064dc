"""The button that copies the link of what is on screen."""

from tabs.components import Component


class Link(Component):
    """A button. place: the path of the tab that it stands in.

    Event `submit`, for hosting/links.js: what the link `event.query` says is to be shown, in place of `event.current`.
    """

    options = {"place": ""}
