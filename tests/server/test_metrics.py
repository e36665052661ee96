"""What Prometheus and a load balancer are told."""

from prometheus_client.parser import text_string_to_metric_families

from reverie.server import queue, roll
from reverie.server.database.migrate import revisions
from tests.server.asking import ask, told
from tests.server.hands import claim, finish, submit


def read(app, headers):
    """Every figure by its name and labels."""
    status, found, body = ask(app, "GET", "/metrics", headers)
    assert (status, found["content-type"].split(";")[0]) == (200, "text/plain")
    families = text_string_to_metric_families(body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_queue_waits_workers_and_requests_are_counted(app, service, ann):
    for _ in range(3):
        submit(app, ann)
    finish(service, {})
    claim(service)
    with service.database.writing() as session:
        roll.enlist(session, "0123456789", "here", 1)
        facts = {
            "models": ["toy"],
            "steps": 7,
            "step_seconds": 1.5,
            "evaluations": 9,
            "jobs": 2,
            "memory": {"resident": 1000},
        }
        roll.seen(session, "0123456789", facts)
    ask(app, "GET", "/v1/jobs/" + "0" * 32, ann)
    ask(app, "GET", "/nowhere", ann)
    found = read(app, ann)
    states = {labels[0][1]: value for (name, labels), value in found.items() if name == "reverie_jobs"}
    assert states == {"starting": 1, "processing": 1, "succeeded": 1, "failed": 0, "canceled": 0}
    assert found["reverie_queue_oldest_seconds", ()] > 0
    assert found["reverie_queue_wait_seconds", (("quantile", "0.5"),)] >= 0
    worker = (("worker", "01234567"),)
    assert found["reverie_worker_steps_total", worker] == 7
    assert found["reverie_worker_step_seconds_total", worker] == 1.5
    assert found["reverie_worker_network_evaluations_total", worker] == 9
    assert found["reverie_worker_memory_bytes", (("of", "resident"), *worker)] == 1000
    assert found["reverie_requests_total", (("method", "POST"), ("route", "/v1/jobs"), ("status", "202"))] == 3
    assert found["reverie_requests_total", (("method", "GET"), ("route", "/v1/jobs/{id}"), ("status", "404"))] == 1
    assert found["reverie_requests_total", (("method", "GET"), ("route", "none"), ("status", "404"))] == 1
    assert found["process_open_fds", ()] > 0


def test_paths_that_strangers_make_up_make_no_new_series(app, ann):
    def strangers(k):
        ask(app, "GET", f"/x{k}", ann)
        ask(app, f"X{k}", "/healthz", ann)
        return len(read(app, ann))

    strangers(0)
    assert strangers(1) == strangers(2)


def test_it_is_ready_when_a_worker_was_seen_and_the_tables_are_of_this_version(app, service, empty):
    status, _, body = ask(app, "GET", "/readyz")  # without a token
    assert (status, b"no worker" in body) == (503, True)
    with service.database.writing() as session:
        roll.enlist(session, "w", "here", 1)
    assert told(ask(app, "GET", "/readyz")) == {"ready": True, "missing": []}
    with service.database.writing() as session:
        session.connection().exec_driver_sql("update worker set seen = seen - 31")
    assert ask(app, "GET", "/readyz")[0] == 503
    with service.database.writing() as session:
        session.connection().exec_driver_sql("update alembic_version set version_num = '0001'")
    try:
        assert b"another version" in ask(app, "GET", "/readyz")[2]
    finally:
        with service.database.writing() as session:
            session.connection().exec_driver_sql(f"update alembic_version set version_num = '{revisions()[-1]}'")


def test_the_server_says_what_it_is(app, service, ann):
    with service.database.writing() as session:
        roll.enlist(session, "w", "here", 1)
        roll.seen(session, "w", {"models": [], "busy": False})
        assert queue.waiting(session) == 0
    found = told(ask(app, "GET", "/v1/server", ann))
    assert found["limits"]["most_steps"] == 1_000
    assert ".png" in found["kinds"]["image"]
    assert found["workers"][0]["busy"] is False
    assert str(service.store.root) not in str(found)
