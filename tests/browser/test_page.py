"""The page as a whole in a real browser."""

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_narrow_screen(visit, theme):
    """390 px wide: nothing overflows, and the picture stays visible while a slider below it is moved."""
    with visit(width=390, height=800, query=f"?__theme={theme}", has_touch=True) as page:
        page.wait_for_selector("#vae-map .map")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("#vae-sliders input[type=range]").nth(8).scroll_into_view_if_needed()
        box = page.locator("#vae-stage canvas").bounding_box()
        assert 0 <= box["y"] < 400
