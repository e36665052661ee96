"""`reverie serve`: every model of a folder and every verb of `tasks/` over HTTP.

The way of a job, from request to files:

1. `security` looks at Host, Origin, type, size and token before anything else; `app` and `routes/` take the request.
2. `schemas` reads it by a model made from the verb's own signature; `places` turns a model's name into its folder.
3. The queue keeps it, and a worker claims it, with others that can be computed as one batch (`schemas.batch_key`).
4. `runner` loads the model (`models`), calls the verb or trains (`training`), tells every step with a picture of it (`previews`),
   and writes files into the job's own folder.
"""
