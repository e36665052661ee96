"""Uploads: whole or not at all, under names that the server makes."""

import json
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from reverie.server.app import behind
from reverie.server.names import laid, plain
from tests.server.asking import ask, post, told
from tests.server.hands import SAMPLE, submit

RAW = {"content-type": "application/octet-stream"}


def form(content, name="photo.png", field="file", more=b""):
    disposition = f'content-disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
    return b"--b\r\n" + disposition + content + b"\r\n" + more + b"--b--\r\n"


FORM = {"content-type": "multipart/form-data; boundary=b"}


def kept(service):
    return sorted(
        (p.relative_to(service.store.root), p.read_bytes()) for p in service.store.root.rglob("*") if p.is_file()
    )


def test_a_body_and_a_form_are_kept_alike(app, service, ann):
    content = bytes(range(256)) * 6_000  # more than one part that is written at once
    raw = told(ask(app, "POST", "/v1/uploads?name=a.photo.PNG", {**ann, **RAW}, [content[:700_000], content[700_000:]]))
    sent = told(ask(app, "POST", "/v1/uploads", {**ann, **FORM}, form(content, "../../etc/my.tar.gz")))
    assert (raw["name"], sent["name"]) == ("a.photo.PNG", "my.tar.gz")
    assert raw["size"] == sent["size"] == len(content)
    files = kept(service)
    assert sorted(str(place) for place, _ in files) == sorted(
        [f"uploads/{raw['id']}.png", f"uploads/{sent['id']}.tar.gz"]
    )
    assert {held for _, held in files} == {content}
    assert told(ask(app, "GET", f"/v1/uploads/{raw['id']}", ann)) == raw
    assert {one["id"] for one in told(ask(app, "GET", "/v1/uploads", ann))["uploads"]} == {raw["id"], sent["id"]}


def test_an_upload_goes_where_its_job_can_find_it_and_stays_while_it_is_needed(app, service, ann):
    one = told(ask(app, "POST", "/v1/uploads", {**ann, **RAW}, b"x"))["id"]
    job = submit(app, ann, {"model": "toy", "task": "denoise", "inputs": {"items": one}})
    assert ask(app, "DELETE", f"/v1/uploads/{one}", ann)[0] == 409
    ask(app, "POST", f"/v1/jobs/{job}:cancel", ann, b"{}")
    assert ask(app, "DELETE", f"/v1/uploads/{one}", ann)[0] == 204
    assert kept(service) == []
    assert ask(app, "GET", f"/v1/uploads/{one}", ann)[0] == 404


def test_pages_of_uploads_list_each_once(app, ann):
    ids = [told(ask(app, "POST", "/v1/uploads", {**ann, **RAW}, b"x"))["id"] for _ in range(5)]
    seen, before = [], ""
    while before is not None:
        page = told(ask(app, "GET", f"/v1/uploads?most=2{before and '&before=' + before}", ann))
        seen += [one["id"] for one in page["uploads"]]
        before = page["next"]
    assert sorted(seen) == sorted(ids)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (RAW, [b"x" * 1_500_000, b"x" * 1_500_000], 413),
        (FORM, [form(b"x" * 3_000_000)], 413),
        (FORM, form(b"x", field="other"), 400),
        (FORM, b"--b\r\nno form", 400),
        (FORM, b"", 400),
        (FORM, form(b"x")[:-12], 400),
        (FORM, b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\ntext\r\n--b--\r\n', 400),
        (FORM, form(b"x", more=form(b"y")[:-7]), 400),
    ],
)
def test_what_is_too_long_or_no_form_leaves_nothing(app, service, ann, headers, body, status):
    answer = ask(app, "POST", "/v1/uploads", {**ann, **headers}, body)
    assert answer[0] == status, answer[2]
    assert kept(service) == []
    assert told(ask(app, "GET", "/v1/uploads", ann))["uploads"] == []


def test_stops_slow_uploads_and_what_they_left(routes_alone, app, service, ann):
    hasty = behind(routes_alone, replace(service, settings=replace(service.settings, patience=0.05)))
    assert ask(hasty, "POST", "/v1/uploads", {**ann, **RAW}, [b"a", b"b"], pause=0.5)[0] == 408
    assert kept(service) == []


@pytest.mark.parametrize("size", [1_000, 1_500_000])
def test_an_upload_that_the_disk_does_not_take_is_said_so_and_leaves_nothing(app, service, ann, monkeypatch, size):
    """/dev/full takes nothing: a large one fails as it is written, a small one when it is finished."""
    begin = service.store.incoming

    def incoming(suffix, most):
        made = begin(suffix, most)
        made._file.close()
        made._file = open("/dev/full", "wb")  # noqa: SIM115 (dropped by what is tested)
        return made

    monkeypatch.setattr(service.store, "incoming", incoming)
    answer = ask(app, "POST", "/v1/uploads", {**ann, **RAW}, b"x" * size)
    assert (answer[0], kept(service)) == (507, [])
    assert "No space left" in told(answer)["error"]
    assert str(service.store.root) not in told(answer)["error"]


def test_a_full_disk_is_told_as_one_and_is_not_ready(app, service, ann, monkeypatch):
    def full(*_, **__):
        raise OperationalError("insert", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr("reverie.server.queue.submit", full)
    status, _, body = post(app, "/v1/jobs", SAMPLE, ann)
    assert (status, b"disk is full" in body) == (507, True)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=999_999))
    status, _, body = ask(app, "GET", "/readyz")
    assert (status, json.loads(body)["missing"]) == (503, ["the disk is full"])


def test_all_uploads_of_an_owner_have_a_limit_and_removing_one_makes_room(routes_alone, service, ann, ben):
    tight = behind(routes_alone, replace(service, settings=replace(service.settings, most_uploads=1_000)))
    first = told(ask(tight, "POST", "/v1/uploads", {**ann, **RAW}, b"x" * 700))["id"]
    status, _, body = ask(tight, "POST", "/v1/uploads", {**ann, **RAW}, b"y" * 301)
    assert (status, len(kept(service))) == (413, 1)
    assert "hold 700 bytes" in json.loads(body)["error"]
    assert "1,000" in json.loads(body)["error"]
    assert ask(tight, "POST", "/v1/uploads", {**ben, **RAW}, b"z" * 1_000)[0] == 201  # another's are another's
    assert ask(tight, "POST", "/v1/uploads", {**ben, **RAW}, [b"never read"] * 2)[0] == 413
    assert ask(tight, "DELETE", f"/v1/uploads/{first}", ann)[0] == 204
    assert ask(tight, "POST", "/v1/uploads", {**ann, **RAW}, b"y" * 301)[0] == 201


@pytest.mark.parametrize(
    ("name", "called", "link"),
    [
        ("my drawing (2).PNG", "my drawing (2).PNG", "my drawing (2).png"),
        ("../../etc/passwd", "passwd", "passwd.png"),
        ("C:\\x\\y.png", "y.png", "y.png"),
        ("a,b|c=d\x07.png", "a,b|c=d.png", "a_b_c_d.png"),
        ("  ", "upload", "upload.png"),
        ("..", "..", "file.png"),
        ("\u202egnp.exe.png", "gnp.exe.png", "gnp.exe.png"),
        ("\u00e9\u00e8\u4e2d" * 60 + ".png", "\u00e9\u00e8\u4e2d" * 60 + ".png", "\u00e9\u00e8\u4e2d" * 17 + ".png"),
    ],
)  # fmt: skip
def test_a_file_is_read_under_its_persons_name_made_safe(tmp_path, name, called, link):
    stored = tmp_path / "0123.png"
    stored.write_bytes(b"x")
    assert plain(name) == called
    found = laid(stored, tmp_path / "given" / "items", plain(name))
    assert found.name == link
    assert found.parent == tmp_path / "given" / "items"
    assert found.read_bytes() == b"x"


def test_a_job_tells_what_its_files_are_called(app, ann):
    one = told(ask(app, "POST", "/v1/uploads?name=../mine.png", {**ann, **RAW}, b"xyz"))
    job = submit(app, ann, {"model": "toy", "task": "denoise", "inputs": {"items": one["id"]}})
    files = told(ask(app, "GET", f"/v1/jobs/{job}", ann))["files"]
    assert files == {"items": {"id": one["id"], "name": "mine.png", "size": 3, "url": None}}
