"""A small chart of lines."""

from tabs.components import Component


class Chart(Component):
    """Lines on logarithmic axes. Value: {"lines": [[name, [[x, y], ...]], ...], "floor": y of the dashed line, "x", "y": names
    of the axes}, or {"message": sentence}. x doubles from mark to mark.
    """
