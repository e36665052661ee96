"""Models as a service: the way of a job from request to files.

1. A request becomes a row: `queue.submit`, in one transaction, after which it is not lost.
2. A worker process claims it under a lease (`queue.claim`) and hands it to a runner, which writes files to a folder of its own.
3. `store.seal` makes the files whole under their last name, `queue.succeed` announces them and ends the job in one transaction;
   whoever has lost the lease by then is refused there, and its files are removed.
4. `supervisor` puts a new worker in a dead one's place and its jobs back in the queue; `queue.expire` forgets what is old.
"""
