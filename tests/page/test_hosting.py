"""The page on other people's machines and in other people's applications."""

import contextlib
import importlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path
from types import SimpleNamespace

import fastapi
import pytest
from helpers import ROOT, is_sentence, photograph
from starlette.testclient import TestClient

from hosting import environment, identity, uploads
from tabs import events, lane


@pytest.fixture
def variables(monkeypatch):
    """The environment, of which a test may change anything."""
    names = ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH", "GRADIO_TEMP_DIR")
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    for name in (*environment.DEFAULTS, *names):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(environment.atexit, "register", lambda *args, **kwargs: None)
    return monkeypatch


@pytest.mark.parametrize("port", ["abc", "99999", "0", "-1", "7860.5", "٧٨٦٠", "9" * 5000])
def test_a_port_that_is_none_is_refused_in_a_sentence(variables, port):
    variables.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(SystemExit) as refused:
        environment.prepare()
    assert is_sentence(str(refused.value)) and "GRADIO_SERVER_PORT must be a whole number from 1 to 65535" in str(refused.value)


@pytest.mark.parametrize(("port", "used"), [("", None), (" ", None), ("7861", "7861"), ("80", "80"), (" 7860 ", "7860")])
def test_no_port_is_the_default_one(variables, tmp_path, port, used):
    variables.setenv("GRADIO_SERVER_PORT", port)
    variables.setattr(tempfile, "tempdir", str(tmp_path))
    environment.prepare()
    assert os.environ.get("GRADIO_SERVER_PORT") == used


def test_what_the_environment_says_comes_before_the_defaults(variables, tmp_path):
    variables.setattr(tempfile, "tempdir", str(tmp_path))
    first, *others = environment.DEFAULTS
    assert others
    variables.setenv(first, "as it was set")
    environment.prepare()
    assert os.environ[first] == "as it was set"
    assert {name: os.environ[name] for name in others} == {name: environment.DEFAULTS[name] for name in others}


def test_each_run_has_a_folder_of_its_own_for_uploads(variables, tmp_path):
    """Gradio's is one for all users of a machine: the second could not write to it."""
    variables.setattr(tempfile, "tempdir", str(tmp_path))
    folders = []
    for _ in range(2):
        variables.delenv("GRADIO_TEMP_DIR", raising=False)
        variables.setattr(tempfile, "tempdir", str(tmp_path))
        environment.prepare()
        folders.append(os.environ["GRADIO_TEMP_DIR"])
    assert folders[0] != folders[1]
    assert all(os.path.dirname(folder) == str(tmp_path) for folder in folders)
    if os.name == "posix":
        assert all(os.stat(folder).st_mode & 0o077 == 0 for folder in folders)


def test_without_a_folder_to_write_to_a_sentence_says_so(variables, tmp_path):
    variables.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(SystemExit, match="TMPDIR or GRADIO_TEMP_DIR"):
        environment.prepare()


def test_a_folder_that_is_named_is_checked_and_takes_all_temporary_files(variables, tmp_path):
    (tmp_path / "file").touch()
    variables.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(SystemExit, match="This user cannot write to GRADIO_TEMP_DIR") as refused:
        environment.prepare()
    assert is_sentence(str(refused.value))
    variables.setenv("GRADIO_TEMP_DIR", str(tmp_path / "new"))
    environment.prepare()
    assert Path(tempfile.gettempdir()).parent == tmp_path / "new"


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_an_address_that_can_be_served(variables):
    for name, port in (("", ""), ("127.0.0.1", str(free_port())), ("0.0.0.0", ""), ("localhost", str(free_port()))):
        variables.setenv("GRADIO_SERVER_NAME", name or "127.0.0.1")
        variables.setenv("GRADIO_SERVER_PORT", port)
        environment.check_address()


@pytest.mark.parametrize("name", ["no such name", "256.1.1.1", "http://localhost", "203.0.113.7", "a" * 300, "a..b"])
def test_a_name_that_is_not_this_machines_is_refused_in_a_sentence(variables, name):
    variables.setenv("GRADIO_SERVER_NAME", name)
    with pytest.raises(SystemExit, match="GRADIO_SERVER_NAME must be a name or an address of this machine") as refused:
        environment.check_address()
    assert is_sentence(str(refused.value))


def test_a_port_that_is_in_use_or_reserved_is_refused_in_a_sentence(variables):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        variables.setenv("GRADIO_SERVER_PORT", str(other.getsockname()[1]))
        with pytest.raises(SystemExit, match="is in use by another program: set GRADIO_SERVER_PORT"):
            environment.check_address()

    def bind(*args):
        raise PermissionError(13, "Permission denied")

    variables.setattr(socket, "socket", lambda *args: contextlib.nullcontext(SimpleNamespace(setsockopt=print, bind=bind)))
    variables.setenv("GRADIO_SERVER_PORT", "80")
    with pytest.raises(SystemExit, match="This user may not serve port 80"):
        environment.check_address()


def test_the_users_folder_is_found_where_the_system_knows_none(variables, tmp_path):
    variables.setattr(tempfile, "tempdir", str(tmp_path))
    variables.setenv("HOME", "x")
    variables.setattr(os.path, "expanduser", lambda path: path)
    environment.prepare()
    assert os.environ["HOME"] == os.environ["GRADIO_TEMP_DIR"]


def test_app_refuses_a_port_before_anything_else():
    environ = {**os.environ, "GRADIO_SERVER_PORT": "abc"}
    run = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert run.returncode == 1 and is_sentence(run.stderr.strip()) and "GRADIO_SERVER_PORT" in run.stderr


def test_it_is_mounted_in_another_application(monkeypatch):
    """With its style, its scripts, its limit of uploads, its sessions, and without tracebacks."""
    monkeypatch.setattr(events, "start", lambda *preparations: None)
    page = importlib.import_module("app")
    site = fastapi.FastAPI()
    site.get("/")(lambda: "the site's own page")
    with TestClient(page.mount(site, "/lab")) as client:
        assert client.get("/").json() == "the site's own page"
        assert "usedSince" in client.get("/lab/").text
        config = client.get("/lab/config").json()
        assert ".live-picture" in config["css"] and not config["show_error"]
        too_large = {"files": ("large.png", b"0" * (41 << 20))}
        assert client.post("/lab/gradio_api/upload", files=too_large).status_code == 413
        small = client.post("/lab/gradio_api/upload", files={"files": ("small.png", b"0")}).json()[0]
        page.visitors_files.keep("visitor", [{"path": small}])
        assert client.post("/lab/gradio_api/leave/visitor").status_code == 204 and not os.path.exists(small)
        assert page.demo.limiter.total_tokens == page.demo.max_threads > lane.MAX_TURNS
    assert type(page.demo.state_holder).__module__ == "hosting.sessions"


def test_what_is_loaded_is_not_looked_through_for_garbage(monkeypatch):
    """Of a page in another application, that decides."""
    page = importlib.import_module("app")
    calls, started = [], []
    monkeypatch.setattr(events, "start", lambda *preparations: started.append([task for p in preparations for task in p()]))
    for name in ("check_address", "return_freed_memory", "end"):
        monkeypatch.setattr(environment, name, lambda: None)
    monkeypatch.setattr(
        environment, "gc", SimpleNamespace(collect=lambda: calls.append("collect"), freeze=lambda: calls.append("freeze"))
    )
    monkeypatch.setattr(page.demo, "launch", lambda **options: (None,))
    monkeypatch.setattr(page.demo, "block_thread", lambda: None)
    monkeypatch.setattr(page.signal, "signal", lambda *args: None)
    monkeypatch.setattr(page.sessions, "keep_little", lambda *args: None)
    monkeypatch.setattr(page.uploads, "keep_briefly", lambda *args: None)
    page.main()
    page.start(None)
    (*_tasks, last), mounted = started
    assert last is environment.freeze_objects and environment.freeze_objects not in mounted
    last()
    assert calls == ["collect", "freeze"]


def test_a_page_has_the_same_app_id_in_every_process():
    """A replica, or a server that was restarted, is the same application to the browser, unless its events differ."""
    page = importlib.import_module("app").demo
    assert page.app_id == identity.identity(page) < 2**53

    def config(event, callback):
        return {
            "version": "6",
            "components": [{"id": 1, "props": {"callback": callback}}],
            "dependencies": [event],
            "layout": {},
        }

    first, other, changed = (
        identity.identity(SimpleNamespace(config=config(event, callback)))
        for event, callback in (({"id": 1}, lambda: 1), ({"id": 1}, lambda: 2), ({"id": 2}, lambda: 1))
    )
    assert first == other != changed


def test_what_is_said_of_replicas_holds(monkeypatch):
    """The files, functions and requests that the text and the proxy's configuration name, and the limits in README.md."""
    monkeypatch.setattr(events, "start", lambda *preparations: None)
    text, config = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("replicas.md", "haproxy.cfg"))
    for name in re.findall(r"\]\((?!http)([^)]+)\)|`((?:hosting|docs)/[\w.]+)`", text):
        assert (ROOT / "docs" / name[0]).is_file() if name[0] else (ROOT / name[1]).is_file()
    assert all(
        f"GRADIO_SERVER_PORT={port} python app.py" in text for port in re.findall(r"server \w 127.0.0.1:(\d+) cookie", config)
    )
    assert re.search(r"bind (127.0.0.1:\d+)", config)[1] in text
    page = importlib.import_module("app")
    with TestClient(page.mount(fastapi.FastAPI(), "/")) as client:
        assert client.get(re.search(r"httpchk GET (\S+)", config)[1]).json() == {"app_id": identity.identity(page.demo)}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"at most {lane.MAX_TURNS} computations at a time and {uploads.MEGABYTES} MB of uploads" in " ".join(readme.split())


@pytest.mark.skipif(not shutil.which("haproxy"), reason="no HAProxy on this machine")
def test_haproxy_reads_its_configuration():
    check = subprocess.run(["haproxy", "-c", "-f", ROOT / "docs" / "haproxy.cfg"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


class Proxy:
    """An ASGI application in front of another: what comes below `path` goes on without it, as nginx and HAProxy do it."""

    def __init__(self, app, path):
        self.app, self.path = app, path

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            assert scope["path"].startswith(self.path + "/"), f"{scope['path']} would not reach the page"
            headers = [(name, value) for name, value in scope["headers"] if name != b"x-forwarded-proto"]
            path = scope["path"].removeprefix(self.path)
            forwarded = [*headers, (b"x-forwarded-proto", b"https")]
            scope = {**scope, "path": path, "raw_path": path.encode(), "headers": forwarded}
        await self.app(scope, receive, send)


def test_a_proxy_serves_it_below_a_path(monkeypatch, tmp_path):
    """The page, all files that its HTML names, an upload, a call of the API, and the file that it answers with."""
    monkeypatch.setattr(events, "start", lambda *preparations: None)
    page = importlib.import_module("app")
    monkeypatch.setattr(page.demo, "root_path", "/lab")  # as Gradio reads GRADIO_ROOT_PATH
    public, site = "https://example.com/lab", page.mount(fastapi.FastAPI(), "/")
    # The queue keeps the application that served the first call, which another test may have mounted elsewhere.
    monkeypatch.setattr(page.demo._queue, "server_app", None)
    with TestClient(Proxy(site, "/lab"), base_url=public) as client:
        text = client.get(public + "/").text
        config = client.get(public + "/config").json()
        assert config["root"] == public
        links = {link for link in re.findall(r'(?:src|href)="([^"#]+)"', text) if not link.startswith(("data:", "http"))}
        assert any("assets/" in link for link in links)
        for link in links:
            assert client.get(urllib.parse.urljoin(public + "/", link)).status_code == 200, link
        with open(photograph(tmp_path), "rb") as file:
            (path,) = client.post(public + "/gradio_api/upload", files={"files": file}).json()
        data = ["vae-mnist", {"path": path, "meta": {"_type": "gradio.FileData"}}, 0]
        call = client.post(public + "/gradio_api/call/vae_encode", json={"data": data}).json()["event_id"]
        events_of_call = client.get(f"{public}/gradio_api/call/vae_encode/{call}").text
        address = re.search(r'"url": "(https?://[^"]+)"', events_of_call)[1]
        assert address.startswith(public + "/gradio_api/file=")
        assert client.get(address).content.startswith(b"\x89PNG")
        data[1]["path"] = str(photograph(tmp_path))  # a file of this machine that was never uploaded
        call = client.post(public + "/gradio_api/call/vae_encode", json={"data": data}).json()["event_id"]
        answer = client.get(f"{public}/gradio_api/call/vae_encode/{call}").text
        assert "event: error" in answer and "picture must be" in answer and "/gradio_api/file=" not in answer


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("", None),
        ("/", None),
        ("lab", "/lab"),
        ("/lab/", "/lab"),
        (" /a/b ", "/a/b"),
        ("https://x.org/lab/", "https://x.org/lab"),
    ],
)
def test_the_path_of_a_proxy_in_any_spelling(variables, tmp_path, given, used):
    variables.setattr(tempfile, "tempdir", str(tmp_path))
    variables.setenv("GRADIO_ROOT_PATH", given)
    environment.prepare()
    assert os.environ.get("GRADIO_ROOT_PATH") == used


@pytest.mark.skipif(sys.platform == "win32", reason="LC_ALL is not what Windows goes by")
def test_gradios_messages_can_be_printed_in_any_locale():
    code = "from hosting import environment; environment.prepare(); print(chr(0x1F528) + chr(0x8BD7))"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True)
    assert done.returncode == 0 and done.stdout == b"\\U0001f528\\u8bd7\n", done.stderr


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux")
def test_what_one_thread_has_freed_others_use():
    """In a process of its own: eight threads that live on, as the server's do, compute one after another."""
    program = """if True:
        import threading, numpy as np
        from hosting import environment, identity
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
        works = environment.return_freed_memory()
        def compute(done):
            blocks = [np.ones(2**17) for i in range(40)]  # of 1 MB
            kept.append(np.ones(1000))  # above them: the heap cannot shrink
            del blocks
            done.set()
            end.wait()
        kept, end, before = [], threading.Event(), resident()
        for i in range(8):
            done = threading.Event()
            threading.Thread(target=compute, args=(done,), daemon=True).start()
            done.wait()
        print(works, resident() - before)
        end.set()
    """
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    works, megabytes = run.stdout.split()
    if works == "False":
        pytest.skip("without glibc")
    assert float(megabytes) < 160  # two heaps of 40 MB; eight without the limit
