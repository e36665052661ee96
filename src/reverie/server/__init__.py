"""`reverie serve`: every model of a folder and every verb of `tasks/` over HTTP.

The way of a job, from request to files:

1. `security` looks at Host, Origin, type, size and token before anything else; `app` and `routes/` take the request.
2. `schemas` reads it by a model made from the verb's own signature; `places` turns a model's name into its folder.
3. It becomes a row: `queue.submit`, in one transaction, after which it is not lost.
4. A worker process claims it under a lease, with others that can be computed as one batch (`schemas.batch_key`), and hands it to
   a runner: that loads the model (`models`), calls the verb or trains (`training`), tells every step with a picture of it
   (`previews`), and writes files into the job's own folder.
5. `store.seal` makes the files whole under their last name, `queue.succeed` announces them and ends the job in one transaction;
   whoever has lost the lease by then is refused there, and its files are removed.
6. `supervisor` puts a new worker in a dead one's place and its jobs back in the queue; `queue.expire` forgets what is old.
"""
