"""Visitors' files: where they lie, for how long, and that others cannot reach them."""

import asyncio
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import is_sentence, photograph

import app
from hosting import environment, uploads

SECONDS = 60


class Browser:
    """One page of a visitor, by HTTP alone."""

    def __init__(self, url):
        self.url, self.session = f"{url}/gradio_api", uuid.uuid4().hex
        self.heartbeat = urllib.request.urlopen(f"{self.url}/heartbeat/{self.session}", timeout=SECONDS)

    def post(self, path, body=b"", kind="application/json"):
        request = urllib.request.Request(f"{self.url}/{path}", body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read()

    def upload(self, file):
        head = b'--limit\r\nContent-Disposition: form-data; name="files"; filename="own.png"\r\n\r\n'
        body = head + Path(file).read_bytes() + b"\r\n--limit--\r\n"
        return json.loads(self.post("upload", body, "multipart/form-data; boundary=limit"))[0]

    def run(self, name, data):
        """The outputs of a named event."""
        event = next(fn for fn in app.demo.fns.values() if fn.api_name == name)._id
        self.post("queue/join", json.dumps({"data": data, "fn_index": event, "session_hash": self.session}).encode())
        with urllib.request.urlopen(f"{self.url}/queue/data?session_hash={self.session}", timeout=SECONDS) as lines:
            for line in lines:
                if b"process_completed" in line:
                    return json.loads(line[6:])["output"]["data"]

    def denoise(self, path):
        """The path of the result of an endpoint, for an upload."""
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return self.run("denoise", ["denoiser-photo", file, 0, "none", 0, 0, "ours", 0])[1]["path"]

    def leave(self):
        self.post(f"leave/{self.session}")
        self.heartbeat.close()


def is_served(url, path):
    try:
        with urllib.request.urlopen(f"{url}/gradio_api/file={urllib.parse.quote(path)}", timeout=SECONDS) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as e:
        return e.code < 400


@pytest.fixture
def own_picture(tmp_path):
    """A file whose content nobody else has uploaded."""
    path = photograph(tmp_path)
    with open(path, "ab") as file:
        file.write(uuid.uuid4().bytes)
    return path


def test_uploads_and_results_go_when_the_page_is_closed(page_url, own_picture):
    browser = Browser(page_url)
    upload = browser.upload(own_picture)
    result = browser.denoise(upload)
    assert os.path.isfile(upload) and os.path.isfile(result) and is_served(page_url, upload) and is_served(page_url, result)
    browser.leave()
    assert not os.path.exists(os.path.dirname(upload)) and not os.path.exists(os.path.dirname(result))
    assert not is_served(page_url, upload) and not is_served(page_url, result)


def test_what_two_visitors_have_uploaded_stays_until_both_have_left(page_url, own_picture):
    one, other = Browser(page_url), Browser(page_url)
    path = one.upload(own_picture)
    one.denoise(path)
    assert other.upload(own_picture) == path
    other.denoise(path)
    one.leave()
    assert os.path.isfile(path)
    other.leave()
    assert not os.path.exists(path)


def test_files_of_others_are_not_found_by_guessing(page_url, own_picture):
    browser = Browser(page_url)
    path = Path(browser.upload(own_picture))
    folder = path.parent.parent
    assert re.fullmatch(r"[0-9a-f]{64}", path.parent.name), "a hash of the content and a secret"
    guesses = [folder, folder.parent, path.parent, path.parent / "*", folder / "..", folder / ".." / "log.txt", "/etc/passwd"]
    assert not any(is_served(page_url, str(guess)) for guess in [*guesses, app.__file__, folder / "hash_seed.txt"])
    assert folder.name.startswith(environment.FOLDER) and os.stat(folder).st_mode & 0o077 == 0
    browser.leave()


def test_the_page_says_how_long_it_keeps_pictures():
    text = next(b.value for b in app.demo.blocks.values() if getattr(b, "elem_id", None) == "privacy")
    assert "deleted when you close the page" in text and "an hour after" in text and uploads.AWAY == 3600


# --- Without a server -------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    (tmp_path / "files").mkdir()
    return uploads.Files(tmp_path / "files")


def make(files, name, age=0.0):
    path = files.folder / name / "picture.png"
    path.parent.mkdir()
    path.write_bytes(b"")
    os.utime(path, (time.time() - age,) * 2)
    return path


def value(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def test_the_sweep_ends_sessions_that_are_away_and_no_others(files):
    old = 2 * uploads.AWAY
    away, hidden, connected, never_used, new = (make(files, name, old) for name in ("a", "b", "c", "d", "e"))
    os.utime(new)
    for session, path in (("away", away), ("hidden", hidden), ("connected", connected)):
        files.keep(session, ["text", value(path), 3])
    files.connected("connected", 1)
    files.last_use |= {"away": time.time() - old, "connected": time.time() - old, "hidden": time.time() - uploads.AWAY / 2}
    files.sweep()
    assert [path.exists() for path in (away, hidden, connected, never_used, new)] == [False, True, True, False, True]
    files.connected("connected", -1)
    files.sweep()
    assert connected.exists(), "its hour begins as the connection ends"
    assert "away" not in files.last_use and not files.connections


def test_a_call_counts_as_use(files):
    path = make(files, "a")
    files.keep("visitor", [value(path)])
    files.last_use["visitor"] = 0.0
    files.keep("visitor", ["only text"])
    files.keep("another", ["only text"])
    assert files.last_use["visitor"] > 0 and "another" not in files.last_use


def test_only_files_of_the_folder_are_ever_removed(files, tmp_path):
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"")
    link = files.folder / "a" / "link.png"
    link.parent.mkdir()
    link.symlink_to(outside)
    for path in (outside, files.folder / ".." / "outside.png", link, "\0", "x" * 5000, ""):
        files.keep("visitor", [{"path": str(path)}, {"path": None}, None])
    files.end("visitor")
    assert outside.exists()


def test_files_in_updates_and_lists_are_found_and_forgotten(files):
    forgotten, (one, two) = [], (make(files, name) for name in "ab")
    files.forget = forgotten.append
    files.keep("visitor", [{"__type__": "update", "value": value(one)}, [value(two)]])
    files.end("visitor")
    assert sorted(forgotten) == [one, two] and not files.owners


ONE = ("192.0.2.1", 1)  # a client


def english(page, text, **values):
    return text.format(**values)


def request(watch, path, method="GET", headers=(), client=ONE):
    """What a request of the middleware answers itself, as ASGI messages; [] if it passes the request on."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": headers, "client": client}
    with ThreadPoolExecutor(1) as pool:  # a browser test before this has left its own event loop in this thread
        pool.submit(asyncio.run, watch(scope, None, send)).result()
    return sent


def test_a_session_is_connected_while_its_heartbeat_lasts(files):
    """Also if that ends with an error, as when a browser goes away."""
    seen_connections, left = [], []

    async def page(scope, receive, send):
        seen_connections.append(dict(files.connections))
        if "broken" in scope["path"]:
            raise ConnectionError

    watch = uploads.Watch(page, files, left.append, english)
    request(watch, "/lab/gradio_api/heartbeat/one")
    request(watch, "/gradio_api/queue/data")
    with pytest.raises(ConnectionError):
        request(watch, "/gradio_api/heartbeat/broken")
    assert seen_connections == [{"one": 1}, {}, {"broken": 1}] and not files.connections and not left


def test_an_address_may_have_so_much_and_is_told_how_much(files, monkeypatch):
    """Uploads that are under way count, what was removed does not, and others may upload meanwhile."""
    monkeypatch.setattr(uploads, "MEGABYTES", 1)
    inside = []

    async def page(scope, receive, send):
        if scope["client"] == ONE and len(files.uploads) == 0:
            inside.append(upload(ONE, 700_000)[0]["status"])  # while the first is under way
        path = make(files, uuid.uuid4().hex)
        path.write_bytes(b"0" * 700_000)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps([str(path)]).encode()})

    watch = uploads.Watch(page, files, print, app.translate_for)

    def upload(client, size, *headers):
        sent = request(watch, "/lab/gradio_api/upload", "POST", [(b"content-length", str(size).encode()), *headers], client)
        return sent[0], sent[1]["body"].decode()

    assert upload(ONE, 700_000)[0]["status"] == 200 and inside == [413]
    refused, sentence = upload(ONE, 700_000)
    assert refused["status"] == 413 and is_sentence(sentence) and "One address may have 1 MB of uploads" in sentence
    chinese = upload(ONE, 700_000, (b"referer", b"https://example.org/lab/zh?tab=vae"))[1]
    assert "1 MB" in chinese and chinese != sentence
    assert upload(("192.0.2.2", 5), 700_000)[0]["status"] == 200
    files._remove(next(iter(files.uploads)))
    assert upload(ONE, 700_000)[0]["status"] == 200 and not files.arriving
    unknown = request(watch, "/gradio_api/upload", "POST", [], ONE)
    assert unknown[0]["status"] == 411 and is_sentence(unknown[1]["body"].decode())


def test_only_a_page_that_says_so_has_left(files):
    passed_on, left = [], []

    async def page(scope, receive, send):
        passed_on.append(scope["path"])

    watch = uploads.Watch(page, files, left.append, english)
    start, body = request(watch, "/lab/gradio_api/leave/one", "POST")
    assert (start["status"], body["type"], left) == (204, "http.response.body", ["one"])
    for path, method in (("/gradio_api/leave/one", "GET"), ("/gradio_api/leave/", "POST"), ("/leave/one", "POST")):
        assert request(watch, path, method) == []
    assert len(passed_on) == 3 and left == ["one"]


def test_a_file_that_two_sessions_use_stays_until_both_have_ended(files):
    path, other = make(files, "a"), make(files, "b")
    files.keep("one", [value(path)])
    files.keep("other", [value(path), value(other)])
    files.end("one")
    assert path.exists() and files.owners[path] == {"other"}
    files.end("other")
    assert not path.exists() and not path.parent.exists() and not other.exists()
    files.end("other")  # once more, as when a page says it twice


def test_the_folders_of_runs_that_crashed_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(environment.atexit, "register", lambda *args, **kwargs: None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    crashed, running, other = (tmp_path / name for name in (environment.FOLDER + "a", environment.FOLDER + "b", "results"))
    for folder in (crashed, running, other):
        make(uploads.Files(folder.parent), folder.name, 0)
        os.utime(folder, (time.time() - 2 * environment.ABANDONED,) * 2)
    uploads.Files(running).sweep()
    environment.prepare()
    assert not crashed.exists() and running.exists() and other.exists()
    assert os.path.dirname(os.environ["GRADIO_TEMP_DIR"]) == str(tmp_path)
