"""Server-sent events: a job as it goes, for many who watch it with one look at the database."""

import asyncio
import json

from reverie.server import queue
from reverie.server.routes import events
from tests.server.asking import Stream, ask
from tests.server.hands import SAMPLE, claim, finish, submit


def test_each_change_of_state_and_each_step_is_told_and_the_end_ends_it(app, service, ann):
    id = submit(app, ann)

    async def watch():
        async with Stream(app, f"/v1/jobs/{id}/events", ann) as stream:
            await stream.until(lambda found: len(found) == 1)
            taken = await asyncio.to_thread(claim, service)
            await stream.until(lambda found: found[-1][1].get("state") == "processing")
            for step in (1, 2):
                await asyncio.to_thread(tell, taken, step, b"png" if step == 1 else None)
                await stream.until(lambda found, step=step: found[-1][1].get("step") == step)
            await asyncio.to_thread(end, taken)
            return await stream.until(lambda found: found[-1][1].get("state") == "succeeded")

    def tell(taken, step, preview):
        with service.database.writing() as session:
            queue.tell(session, taken, {"step": step, "total": 2, "eta": 1.5}, preview)
        if preview:
            assert ask_preview() == (200, b"png")

    def ask_preview():
        return ask(app, "GET", f"/v1/jobs/{id}/preview", ann)[::2]

    def end(taken):
        with service.database.writing() as session:
            queue.succeed(session, taken, {"lines": []}, [])

    found = asyncio.run(watch())
    assert [name for name, _ in found if name == "job"] == ["job"] * 3
    assert [job["state"] for name, job in found if name == "job"] == ["starting", "processing", "succeeded"]
    at = f"/v1/jobs/{id}/preview?step=1"
    steps = [told for name, told in found if name == "progress"]
    assert steps == [{"step": k, "total": 2, "eta": 1.5, "preview": at} for k in (1, 2)]
    assert ask_preview()[0] == 204  # there is a picture while it is processing


def test_an_ended_job_is_told_once_and_a_quiet_one_shows_that_the_stream_lives(app, service, ann, monkeypatch):
    monkeypatch.setattr(events, "BEAT", 0.05)
    done = submit(app, ann)
    finish(service, {})
    quiet = submit(app, ann)

    async def watch():
        async with Stream(app, f"/v1/jobs/{done}/events", ann) as stream:
            await asyncio.wait_for(stream.task, 10)
            first = stream.events
        async with Stream(app, f"/v1/jobs/{quiet}/events", ann) as stream:
            while stream.text.count(": nothing new") < 2:
                await asyncio.sleep(0.02)
        return first

    ((name, job),) = asyncio.run(watch())
    assert (name, job["state"]) == ("job", "succeeded")


def test_many_watchers_cost_one_look_and_leave_nothing_behind(app, service, ann, monkeypatch):
    """60 watchers, more than the pools of threads (40) and of connections (20): none holds either."""
    ids = [submit(app, ann) for _ in range(3)]
    looks = []
    read = service.watchers._read
    monkeypatch.setattr(service.watchers, "_read", lambda asked: looks.append(asked) or read(asked))

    async def watch():
        streams = [Stream(app, f"/v1/jobs/{ids[k % 3]}/events", ann) for k in range(60)]
        async with asyncio.TaskGroup() as group:
            for stream in streams:
                group.create_task(stream.__aenter__())
        for stream in streams:
            await stream.until(lambda found: found)
        assert service.watchers.count == 60
        assert service.database.engine.pool.checkedout() <= 1
        before = len(looks)
        await asyncio.to_thread(finish, service, {})
        for stream in streams[::3]:
            await stream.until(lambda found: found[-1][1].get("state") == "succeeded")
        assert len(looks) - before < 20
        for stream in streams:
            await stream.__aexit__()

    asyncio.run(watch())
    assert service.watchers.count == 0
    assert all(len(set(asked)) == len(asked) for asked in looks)


def test_no_more_than_the_server_bears_may_watch(app, service, ann):
    id = submit(app, ann)
    service.watchers.most = 1

    async def watch():
        async with Stream(app, f"/v1/jobs/{id}/events", ann) as first:
            await first.until(lambda found: found)
            async with Stream(app, f"/v1/jobs/{id}/events", ann) as second:
                await asyncio.wait_for(asyncio.shield(second.task), 10)
                return second.status

    assert asyncio.run(watch()) == 429


def test_streams_and_those_who_wait_end_when_the_server_does(app, service, ann):
    id = submit(app, ann)

    async def watch():
        async with Stream(app, f"/v1/jobs/{id}/events", ann) as stream:
            await stream.until(lambda found: found)
            service.watchers.end()
            await asyncio.wait_for(asyncio.shield(stream.task), 5)  # by itself, its client still there
        async with Stream(app, f"/v1/jobs/{id}/events", ann) as late:
            await asyncio.wait_for(asyncio.shield(late.task), 5)
        return stream.status, late.status

    assert asyncio.run(watch()) == (200, 200)
    assert service.watchers.count == 0
    assert ask(app, "POST", "/v1/jobs", {**ann, "prefer": "wait=60"}, json.dumps(SAMPLE).encode())[0] == 202
