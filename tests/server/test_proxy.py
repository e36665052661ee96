"""The proxies of docs/deploy.md, by its own words: names and TLS get through, events come as they happen, uploads are taken.

Skipped where nginx, Caddy or openssl is not installed.
"""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest

from reverie.server.tokens import add_token
from tests.server.test_deploy import TEXT, block
from tests.server.test_serve import own, sample, serving  # noqa: F401 (a fixture)
from tests.server.test_supervisor import until

NAME = "reverie.example.org"
CERTIFICATE = f"/etc/letsencrypt/live/{NAME}/"


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def nginx(folder, port, behind):
    server = block("nginx", "## Behind a proxy").replace("listen 443", f"listen 127.0.0.1:{port}")
    server = server.replace(CERTIFICATE, f"{folder}/").replace("127.0.0.1:8000", behind)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", f"/CN={NAME}", "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    place = folder / "nginx.conf"
    place.write_text(f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {temporary}\n{server}}}")
    return ["nginx", "-p", folder, "-c", place, "-e", folder / "log"]


def caddy(folder, port, behind):
    text = TEXT[TEXT.index("\nCaddy:") :].split("```\n")[1].replace("127.0.0.1:8000", behind)
    local = f"admin off\nlocal_certs\nskip_install_trust\nauto_https disable_redirects\nhttps_port {port}\n"
    place = folder / "Caddyfile"
    place.write_text(f"{{\n{local}storage file_system {folder}\n}}\n{text}")
    return ["caddy", "run", "--config", place]


@contextmanager
def proxied(words, port):
    """The proxy as a process, and a client that calls the server by its name."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = httpx.Client(
            base_url=f"https://127.0.0.1:{port}", verify=False, trust_env=False, timeout=60,  # its own, made above
            headers={"host": f"{NAME}:{port}"},
        )  # fmt: skip
        with client:
            until(lambda: process.poll() is not None or answers(client), 60)
            assert process.poll() is None, "the proxy does not start"
            yield client
    finally:
        process.terminate()  # a killed nginx leaves its own workers behind
        process.wait(20)


SNI = {"sni_hostname": NAME}


def answers(client):
    try:
        return client.get("/healthz", extensions=SNI).status_code == 200
    except httpx.TransportError:
        time.sleep(0.1)
        return False


@pytest.mark.slow
@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_the_server_is_whole_behind_a_proxy(proxy, own, tmp_path):  # noqa: F811 (the fixture)
    for program in (proxy.__name__, "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: what the page says of {proxy.__name__} is not tried")
    token, port = add_token(tmp_path / "tokens", "ann", "user"), free_port()
    folder = tmp_path / "proxy"
    folder.mkdir()
    with serving(own, "--names", NAME, "--token-file", tmp_path / "tokens") as (_, server):
        behind = f"127.0.0.1:{server.base_url.port}"
        with proxied(proxy(folder, port, behind), port) as client:
            assert client.get("/v1/me", extensions=SNI).status_code == 401
            session = client.post("/v1/session", json={"token": token}, extensions=SNI)
            assert session.status_code == 204
            assert "Secure" in session.headers["set-cookie"]
            mine = {"authorization": f"Bearer {token}"}
            assert client.get("/v1/me", headers=mine, extensions=SNI).json()["owner"] == "ann"

            own_page, other = {"origin": f"https://{NAME}:{port}"}, {"origin": "https://evil.example"}
            job = sample(n=1, steps=1000, batch=1)
            assert client.post("/v1/jobs", json=job, headers={**mine, **other}, extensions=SNI).status_code == 403
            answer = client.post("/v1/jobs", json=job, headers={**mine, **own_page}, extensions=SNI)
            assert answer.status_code == 202, answer.text
            id = answer.json()["id"]
            with client.stream("GET", f"/v1/jobs/{id}/events", headers=mine, extensions=SNI) as events:
                data = (json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: "))
                seen = next(one for one in data if one.get("step"))
                assert seen["step"] < seen["total"]  # it came while the job went on
            client.post(f"/v1/jobs/{id}:cancel", json={}, headers=mine, extensions=SNI)

            large = bytes(3_000_000)  # more than nginx takes by itself
            kind = {"content-type": "application/octet-stream"}
            uploaded = client.post("/v1/uploads?name=a.bin", content=large, headers={**mine, **kind}, extensions=SNI)
            assert (uploaded.status_code, uploaded.json()["size"]) == (201, len(large))
            other_name = client.get("/v1/me", headers={**mine, "host": "evil.example"}, extensions=SNI)
            assert "owner" not in other_name.text  # Caddy answers by itself, with nothing
