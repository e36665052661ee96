"""Options that several verbs have, each in the same words; and what a text among them may name beside words."""

from enum import Enum
from typing import Annotated


class Names(Enum):
    """What a text names, said behind its meaning, `Annotated[str | None, "...", Names.READ]`; a server opens none of its own."""

    READ = "a file that is read"
    WRITTEN = "a file that is written"
    TOLD = "values of conditions, those of pictures being files: NAME=VALUE"
    COLUMNS = "where data tells conditions, pictures being in folders: KIND:PLACE"


Label = Annotated[str | None, "Class, told to the model; several, as in 3,5,8, are cycled over the draws."]
Condition = Annotated[
    str | None, "What else to tell, comma-separated: style=noto,age=40; | cycles several.", Names.TOLD
]
ConditionFrom = Annotated[
    str | None,
    "Where the model's conditions are in the data, as `reverie train --condition` takes it: label:style,number:age; or none. "
    "Default: as in training.",
    Names.COLUMNS,
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
