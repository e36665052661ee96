"""Each test is named after what it stops; what is allowed is asked beside it, so that a wall without a door fails too."""

import json
import logging
import re

import pytest

from reverie.errors import ReverieError
from reverie.server.logs import Lines
from reverie.server.security import guarded
from reverie.server.settings import Settings
from reverie.server.tokens import new_token, read_tokens
from tests.server.asking import ask, told


async def echo(scope, receive, send):
    """An application that reads the whole body, and says how much it was and who asked."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    caller = scope["state"].get("caller")
    body = json.dumps({"size": size, "owner": caller and caller.owner, "admin": bool(caller and caller.admin)}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def app(tmp_path, **more):
    settings = Settings(runs=tmp_path, **{"most_body": 1000, "most_upload": 5000, "patience": 0.05} | more)
    return guarded(echo, settings, settings.token_file and read_tokens(settings.token_file))


def status(*args, **kwargs):
    return ask(*args, **kwargs)[0]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "localhost@evil", "[::2]"]
)
def test_stops_dns_rebinding(tmp_path, host):
    assert status(app(tmp_path), "GET", "/v1/models", {"host": host}) == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1", "box.lan"])
def test_answers_to_its_own_names(tmp_path, host):
    assert status(app(tmp_path, names="box.lan"), "GET", "/v1/models", {"host": host}) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9000"},
        {"origin": "http://localhost:8000.evil.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_stops_cross_site_posts(tmp_path, headers):
    assert status(app(tmp_path), "POST", "/v1/jobs", headers, b"{}") == 403
    assert status(app(tmp_path), "DELETE", "/v1/jobs/1", headers) == 403


def test_takes_changes_from_its_own_page_and_from_programs(tmp_path):
    own = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    assert (
        status(app(tmp_path), "POST", "/v1/jobs", own, b"{}")
        == status(app(tmp_path), "POST", "/v1/jobs", {}, b"{}")
        == 200
    )


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "", "application/jsonp"],
)
def test_stops_forms_that_pass_for_json(tmp_path, kind):
    assert status(app(tmp_path), "POST", "/v1/jobs", {"content-type": kind}, b"{}") == 415


def test_stops_a_multipart_boundary_of_100_kb(tmp_path):
    long, usual = (f"multipart/form-data; boundary={'b' * n}" for n in (100_000, 40))
    assert status(app(tmp_path), "POST", "/v1/uploads", {"content-type": long}, b"x") == 415
    assert status(app(tmp_path), "POST", "/v1/uploads", {"content-type": usual}, b"x") == 200


def test_stops_bodies_that_are_too_long_whatever_they_say(tmp_path):
    own = app(tmp_path)
    assert status(own, "POST", "/v1/jobs", {"content-length": "1001"}) == 413
    assert status(own, "POST", "/v1/jobs", {"content-length": "9" * 400}) == 413
    assert status(own, "POST", "/v1/jobs", {"content-length": "-1"}) == 413
    assert status(own, "POST", "/v1/jobs", {"content-length": "3"}, [b"x" * 600, b"x" * 600]) == 413
    assert told(ask(own, "POST", "/v1/jobs", {}, [b"x" * 600, b"x" * 400]))["size"] == 1000
    file = {"content-type": "application/octet-stream"}
    assert told(ask(own, "POST", "/v1/uploads", file, b"x" * 5000))["size"] == 5000
    assert status(own, "POST", "/v1/uploads", file, b"x" * 5001) == 413


def test_stops_slow_clients(tmp_path):
    assert status(app(tmp_path), "POST", "/v1/jobs", {}, [b"{", b"}"], pause=0.5) == 408
    assert status(app(tmp_path), "POST", "/v1/jobs", {}, [b"{", b"}"]) == 200


def tokens(tmp_path):
    made = {name: new_token(name, scope) for name, scope in (("ann", "admin"), ("ben", "user"))}
    path = tmp_path / "tokens"
    path.write_text("# who may\n\n" + "\n".join(line for _, line in made.values()) + "\n")
    return path, {name: token for name, (token, _) in made.items()}


def test_stops_who_has_no_token(tmp_path):
    path, known = tokens(tmp_path)
    own = app(tmp_path, token_file=path)
    for given in (
        None,
        "Bearer ",
        "Bearer x",
        f"Basic {known['ann']}",
        f"Bearer {known['ann']}x",
        f"Bearer {known['ben'][:-1]}",
    ):
        assert status(own, "GET", "/v1/models", {"authorization": given}) == 401
    assert (
        status(own, "GET", "/v1/models", {"authorization": "Bearer " + path.read_text().split()[-1]}) == 401
    )  # the hash
    assert status(own, "GET", "/healthz") == 200


def test_knows_who_asks(tmp_path):
    path, known = tokens(tmp_path)
    own = app(tmp_path, token_file=path)
    found = told(ask(own, "GET", "/v1/models", {"authorization": f"Bearer {known['ben']}"}))
    assert (found["owner"], found["admin"]) == ("ben", False)
    found = told(ask(own, "GET", "/v1/models", {"cookie": f"a=b; reverie-token={known['ann']}"}))
    assert (found["owner"], found["admin"]) == ("ann", True)
    assert told(ask(app(tmp_path), "GET", "/v1/models"))["admin"]


def test_keeps_no_token_on_disk_or_in_the_log(tmp_path, caplog):
    path, known = tokens(tmp_path)
    assert not any(token in path.read_text() for token in known.values())
    assert all(len(token) >= 43 for token in known.values())  # 256 bits
    with caplog.at_level(logging.INFO, "reverie.server"):
        given = {"authorization": f"Bearer {known['ann']}", "cookie": "c=secret"}
        _, headers, _ = ask(app(tmp_path, token_file=path), "POST", "/v1/jobs?token=secret", given, b'"secret"')
    (line,) = [json.loads(Lines().format(record)) for record in caplog.records]
    assert line["request"] == headers["x-request-id"]
    assert (line["status"], line["owner"], line["path"]) == (200, "ann", "/v1/jobs")
    assert "secret" not in caplog.text
    assert known["ann"] not in caplog.text


@pytest.mark.parametrize("line", ["ann admin plain-token", "ann root " + "0" * 64, "0" * 64, "../a user " + "0" * 64])
def test_refuses_a_token_file_that_is_none_without_showing_it(tmp_path, line):
    (tmp_path / "tokens").write_text(f"# x\n{line}\n")
    with pytest.raises(ReverieError, match="line 2") as caught:
        read_tokens(tmp_path / "tokens")
    assert line not in str(caught.value)


def test_stops_framing_sniffing_and_scripts_from_elsewhere(tmp_path):
    for answer in (ask(app(tmp_path), "GET", "/v1/models"), ask(app(tmp_path), "GET", "/", {"host": "evil"})):
        headers = answer[1]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert re.fullmatch("[0-9a-f]{16}", headers["x-request-id"])


def test_stops_other_machines_without_a_token(tmp_path):
    for host in ("0.0.0.0", "192.168.1.2", "::", "box.lan"):
        with pytest.raises(ReverieError, match="--token-file"):
            Settings(runs=tmp_path, host=host).check()
    for host in ("127.0.0.1", "localhost", "::1"):
        Settings(runs=tmp_path, host=host).check()
    Settings(runs=tmp_path, host="0.0.0.0", token_file=tmp_path / "tokens").check()
