"""The server goes and comes back, or has others to serve: what the page says, keeps, and asks for meanwhile."""

import json
import os
import signal
import time

import pytest
from conftest import free_port, start_page
from helpers_browser import PIXELS, changed, open_tab

from hosting import head

pytestmark = pytest.mark.browser

VAE, DIFFUSION = "#vae-stage canvas", "#diffusion-stage canvas"
NOTE = "document.querySelector('#connection[role=status]').textContent"
STEPS = "document.querySelector('#diffusion-stage output').textContent"
FINISHED = "#diffusion-stage input[type=range]:not([disabled])"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_page_outlives_its_server(browser, tmp_path, all_checkpoints):
    """Killed in the middle of a run, and started again: the page was not loaded again, and has gone on by itself."""
    server = start_page(tmp_path, all_checkpoints, port := free_port())
    page, asked = browser.new_page(), []
    page.set_default_timeout(180_000)  # which starts twice
    try:
        page.goto(f"{server.url}/zh?tab=vae")
        page.wait_for_selector(f"{VAE}:not([hidden])")
        page.evaluate("() => { window.loaded = 'once'; }")
        open_tab(page, "扩散模型")
        page.wait_for_selector(f"{DIFFUSION}:not([hidden])")
        steps = page.locator("#diffusion-steps input[type=number]")
        steps.fill("64")
        steps.press("Tab")
        page.wait_for_function(f"{STEPS}.includes('/ 64')", polling=20)

        page.on("request", lambda request: asked.append(request.url))
        os.kill(server.pid, signal.SIGKILL)
        killed = time.monotonic()
        server.wait()
        assert "64 / 64" not in page.evaluate(STEPS)
        page.wait_for_function(f"{NOTE}.startsWith('服务器没有响应')")
        open_tab(page, "自编码器与 VAE")
        before = page.evaluate(PIXELS, VAE)
        page.locator("#vae-sliders input[type=range]").first.focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        server = start_page(tmp_path, all_checkpoints, port)
        away = time.monotonic() - killed
        assert all("/gradio_api/app_id" in url for url in asked), asked
        assert len(asked) <= 3 + away / 0.75

        page.wait_for_function(f"{NOTE} === '服务器已恢复响应。'")
        changed(page, VAE, before)
        open_tab(page, "扩散模型")
        page.wait_for_selector(FINISHED)
        assert "64 / 64" in page.evaluate(STEPS)
        page.wait_for_function(f"{NOTE} === ''")
        assert steps.input_value() == "64" and page.evaluate("window.loaded") == "once"
    finally:
        page.close()
        server.kill()
        server.wait()


# --- The script alone, with a server that the test plays ---------------------------------------------------------------

PLAYED = """scripts => {
  window._ = (text, values = {}) => text.replace(/[{](\\w+)[}]/g, (placeholder, name) => values[name]);
  window.gradio_config = {app_id: 7};
  window.asked = [];    // [path, body] of each request
  window.waits = [];    // seconds of the pauses, which here last no time
  window.answers = {};  // path -> what it answers, one after another; the last again and again
  let clock = 0;
  const realTimeout = setTimeout.bind(window);
  performance.now = () => clock;
  window.setTimeout = (act, delay) => {
    waits.push(delay / 1000);
    return realTimeout(() => { clock += delay; act(); });
  };
  window.fetch = async (address, {body} = {}) => {
    const path = address.replace(/.*gradio_api./, '').replace(/[?].*/, '');
    asked.push([path, body]);
    const answer = answers[path].length > 1 ? answers[path].shift() : answers[path][0];
    if (answer === 'gone') throw new TypeError('no network');
    if (answer.held) await new Promise(resolve => { window.release = resolve; });
    if (answer.stream) return new Response(answer.stream.map(message => `data: ${JSON.stringify(message)}\\n\\n`).join(''));
    const {status = 200, json, html} = answer, headers = {'Content-Type': html ? 'text/html' : 'application/json'};
    return new Response(html ?? JSON.stringify(json), {status, headers});
  };
  document.body.replaceChildren();
  for (const script of scripts) (0, eval)(script);
  document.dispatchEvent(new Event('DOMContentLoaded'));
  window.call = async (path, body) => (await fetch(`/gradio_api/${path}`, {method: 'POST', body: JSON.stringify(body)})).json();
  window.read = async () => {
    const text = await (await fetch('/gradio_api/queue/data?session_hash=a')).text();
    return text.split('\\n\\n').filter(Boolean).map(message => JSON.parse(message.slice('data: '.length)));
  };
}"""
ALIVE = {"json": {"app_id": 7}}
WAITING, RECONNECT = (part.read_text(encoding="utf-8") for part in (head.WAITING, head.RECONNECT))


@pytest.fixture
def play(browser):
    """play({path: answers}, script): what the script gives, and which requests there were."""
    page = browser.new_page()

    def play(answers, script, *parts):
        page.evaluate(PLAYED, [*parts, RECONNECT])
        page.evaluate("values => Object.assign(answers, values)", answers)
        return page.evaluate(f"async () => {script}"), page.evaluate("asked.map(([path]) => path)")

    play.page = page
    yield play
    page.close()


def completed(event, data):
    return {"msg": "process_completed", "event_id": event, "success": True, "output": {"data": data}}


def generating(event, data):
    return {"msg": "process_generating", "event_id": event, "success": True, "output": {"data": data}}


FULL = "Too many computations wait at the moment: try again in a minute."
CLOSE = {"msg": "close_stream", "event_id": None}


def test_the_server_is_asked_less_and_less_often(play):
    answers = {"run/predict": ["gone", {"json": 1}], "app_id": [*["gone"] * 10, ALIVE]}
    value, asked = play(answers, "call('run/predict', {})")
    waits = play.page.evaluate("waits")[:10]
    assert value == 1 and asked == ["run/predict", *["app_id"] * 11, "run/predict"]
    assert all(0.75 <= wait / pause <= 1.25 for wait, pause in zip(waits, (min(10, 1.5**i) for i in range(10))))


def test_a_proxy_that_answers_in_the_servers_place_is_not_the_server(play):
    proxy = {"status": 503, "html": "<h1>503</h1>"}
    value, asked = play({"run/predict": [proxy, {"json": 1}], "app_id": [proxy, ALIVE]}, "call('run/predict', {})")
    assert value == 1 and asked == ["run/predict", "app_id", "app_id", "run/predict"]
    full = {"status": 503, "json": {"detail": "Queue is full."}}  # what the server itself says is passed on
    value, asked = play({"run/predict": [full]}, "call('run/predict', {})")
    assert value == full["json"] and asked == ["run/predict"]


def test_a_queue_that_is_full_is_spoken_of_in_the_visitors_language(play):
    full = {"status": 503, "json": {"detail": "Queue is full. Max size is 100 and size is 100."}}
    value, asked = play({"queue/join": [full]}, "call('queue/join', {})")
    assert value["detail"] == FULL and asked == ["queue/join"]


def test_what_is_sent_meanwhile_waits_and_a_short_break_is_not_spoken_of(play):
    answers = {"run/predict": [{"json": 1}], "app_id": ["gone", "gone", ALIVE]}
    _, asked = play(
        answers,
        "{ window.reachable('/gradio_api/heartbeat/a'); await Promise.all([1, 2, 3].map(i => call('run/predict', i))); }",
    )
    assert asked == [*["app_id"] * 3, *["run/predict"] * 3]
    message = "Promise.all([call('run/predict', 1)]).then(() => document.querySelector('#connection').textContent)"
    assert play({"run/predict": ["gone", {"json": 1}], "app_id": [ALIVE]}, message)[0] == ""


def test_what_goes_astray_twice_is_not_sent_again(play):
    value, asked = play({"run/predict": ["gone"], "app_id": [ALIVE]}, "call('run/predict', {})")
    assert "twice" in value["error"] and asked == ["run/predict", "app_id"] * 2


def test_a_run_begins_again_and_its_first_results_replace_what_is_shown(play):
    answers = {
        "queue/join": [{"json": {"event_id": "one"}}, {"json": {"event_id": "two"}}],
        "queue/data": [
            {"stream": [generating("one", ["first"])]},  # which breaks off
            {
                "stream": [
                    generating("two", ["other"]),
                    generating("two", [[["append", [], "!"]]]),
                    completed("two", ["other!"]),
                    CLOSE,
                ]
            },
        ],
        "app_id": [ALIVE],
    }
    messages, asked = play(answers, "{ await call('queue/join', {fn_index: 3}); return read(); }")
    assert asked == ["queue/join", "queue/data", "app_id", "queue/join", "queue/data"]
    assert play.page.evaluate("asked[0][1] === asked[3][1]")
    assert [message["output"]["data"] for message in messages[:-1]] == [
        ["first"],
        [[["replace", [], "other"]]],
        [[["append", [], "!"]]],
        ["other!"],
    ]
    assert {message["event_id"] for message in messages[:-1]} == {"one"} and messages[-1] == CLOSE


def test_a_run_that_breaks_off_twice_ends_with_a_sentence(play):
    answers = {
        "queue/join": [{"json": {"event_id": "one"}}, {"json": {"event_id": "two"}}],
        "queue/data": [{"stream": []}],
        "app_id": [ALIVE],
    }
    messages, asked = play(answers, "{ await call('queue/join', {}); return read(); }")
    assert [message["msg"] for message in messages] == ["process_completed", "close_stream"]
    assert messages[0]["event_id"] == "one" and not messages[0]["success"] and "twice" in messages[0]["output"]["error"]
    assert asked.count("queue/join") == 2


def test_a_run_that_is_refused_the_second_time_says_why(play):
    answers = {
        "queue/join": [{"json": {"event_id": "one"}}, {"status": 503, "json": {"detail": "Queue is full."}}],
        "queue/data": [{"stream": [{"msg": "unexpected_error", "event_id": None, "session_not_found": True}]}],
        "app_id": [ALIVE],
    }
    messages, _ = play(answers, "{ await call('queue/join', {}); return read(); }")
    assert messages[0]["output"]["error"] == FULL and messages[-1]["msg"] == "close_stream"


def test_an_upload_is_uploaded_again_where_the_server_has_lost_it(play):
    answers = {
        "upload": [{"json": ["/old/a.png"]}, {"json": ["/new/a.png"]}],
        "run/predict": [{"json": 0}, "gone", {"json": 1}],
        "app_id": ["gone", ALIVE],
        "file=/old/a.png": [{"status": 403, "json": {}}],
    }
    value, asked = play(
        answers,
        """{
          await fetch('/gradio_api/upload?upload_id=1', {method: 'POST', body: new FormData()});
          await call('run/predict', {path: '/old/a.png'});
          return call('run/predict', {path: '/old/a.png'});
        }""",
    )
    assert value == 1 and asked.count("upload") == 2
    bodies = play.page.evaluate("asked.filter(([path]) => path === 'run/predict').map(([, body]) => body)")
    assert [json.loads(body)["path"] for body in bodies] == ["/old/a.png", "/old/a.png", "/new/a.png"]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ({"ahead": 3, "others": 5}, "Waiting for the computer: place 3 in the queue."),
        ({"ahead": None, "others": 5}, "5 other computations take turns with this one."),
        ({"ahead": None, "others": 1}, "Another computation takes turns with this one."),
    ],
)
def test_who_waits_is_told_the_place_until_there_is_a_result(play, place, sentence):
    message = "document.querySelector('#waiting[role=status]').textContent"
    answers = {
        "run/predict": [{"held": True, "json": 1}],
        "place/abc": [{"json": {"ahead": None, "others": 0}}, {"json": place}],
    }
    script = f"""{{
      const answer = call('run/predict', {{session_hash: 'abc'}});
      while (!{message}) await new Promise(requestAnimationFrame);
      const text = {message};
      release();
      return [await answer, text, {message}];
    }}"""
    (answer, text, after), asked = play(answers, script, WAITING)
    assert (answer, text, after) == (1, sentence, "") and asked[:3] == ["run/predict", "place/abc", "place/abc"]
    assert play.page.evaluate("waits.slice(0, 2)") == [1.5, 2]


def test_a_run_that_shows_results_does_not_wait(play):
    stream = [generating("one", ["first"]), {"msg": "heartbeat", "event_id": None}]
    answers = {
        "queue/join": [{"json": {"event_id": "one"}}],
        "queue/data": [{"stream": stream}],
        "place/abc": [{"json": {"ahead": 3, "others": 3}}],
        "app_id": [{"held": True}],
    }
    script = """{
      await call('queue/join', {session_hash: 'abc'});
      const reader = (await fetch('/gradio_api/queue/data?session_hash=abc')).body.getReader();
      await reader.read();
      const before = asked.length;
      for (let i = 0; i < 20; i++) await new Promise(requestAnimationFrame);
      return asked.slice(before).map(([path]) => path);
    }"""
    assert "place/abc" not in play(answers, script, WAITING)[0]


def test_another_version_of_the_page_is_loaded(play):
    page = play.page
    page.route("**/start", lambda route: route.fulfill(content_type="text/html", body="<body>page</body>"))
    page.goto("http://127.0.0.1:9/start")
    page.evaluate(PLAYED, [RECONNECT])
    page.evaluate(
        "answers => Object.assign(window.answers, answers)", {"run/predict": ["gone"], "app_id": [{"json": {"app_id": 8}}]}
    )
    with page.expect_event("load"):
        page.evaluate("() => void call('run/predict', {})")
