"""Where a visitor's computation stands, as the page is told."""

import fastapi
from starlette.testclient import TestClient

import app
from hosting import waiting
from tabs import lane


def test_a_page_is_told_where_its_computation_stands():
    server = fastapi.FastAPI()
    server.get("/gradio_api/place/a/b")(lambda: "the server's own")
    places = {"abc": lane.Place(2, 3), "begun": lane.Place(None, 1)}
    with TestClient(waiting.Places(server, places.get)) as client:
        assert client.get("/lab/gradio_api/place/abc").json() == {"ahead": 2, "others": 3}
        assert client.get("/gradio_api/place/begun").json() == {"ahead": None, "others": 1}
        assert client.get("/gradio_api/place/nobody").json() == {}
        assert client.get("/gradio_api/place/a/b").json() == "the server's own"
        assert client.post("/gradio_api/place/abc").status_code == 404


def test_it_is_the_lane_that_is_asked(lanes):
    (middleware,) = (part for part in app.OPTIONS["app_kwargs"]["middleware"] if part.cls is waiting.Places)
    with lane.turn(lane.Visitor("192.0.2.1", "abc"), True):
        assert middleware.kwargs["place"]("abc") == (None, 0)
