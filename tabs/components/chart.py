"""A small line chart."""

from tabs.components import Component


class Chart(Component):
    """Lines on logarithmic axes. Value: {"lines": [[name, [[x, y], ...]], ...], "floor": y of the dashed line, "x", "y": titles
    of the axes}, or {"message": sentence}. The ticks of x are powers of two.
    """
