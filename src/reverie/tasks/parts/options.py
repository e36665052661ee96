"""Options that several verbs have, each in the same words."""

from typing import Annotated

Label = Annotated[str | None, "Class, told to the model; several, as in 3,5,8, are cycled over the draws."]
Condition = Annotated[str | None, "What else to tell, comma-separated: style=noto,age=40; | cycles several."]
ConditionFrom = Annotated[
    str | None,
    "Where the model's conditions are in the data, as `reverie train --condition` takes it: label:style,number:age; or none. "
    "Default: as in training.",
]
Guidance = Annotated[float | None, "Scale of classifier-free guidance towards what is told; 1 is none."]
Steps = Annotated[int | None, "Steps of the sampler. Default: the model's own."]
PartSteps = Annotated[int | None, "Steps of the whole way; a strength below 1 walks a part. Default: the model's own."]
Sampler = Annotated[str | None, "See `reverie list samplers`. Default: the model's own."]
TimeGrid = Annotated[str | None, "See `reverie list grids`. Default: the model's own."]
OdeSteps = Annotated[int | None, "Equal steps in log n, 2 evaluations each. Default: 64."]
Tolerance = Annotated[float | None, "In the place of steps: error allowed in a step of an adaptive solver."]
Seed = Annotated[int, "Start of all randomness; -1 picks one and says which."]
Batch = Annotated[int, "How many are computed at once."]
