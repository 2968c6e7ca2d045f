"""`densimeter schema`: the JSON Schema of a sweep, for editors."""

from densimeter.simulator.commands.output import print_json


def schema() -> None:
    """Print the JSON Schema of SWEEP.yaml, with which an editor completes keys and marks mistakes."""
    from densimeter.simulator.explore.json_schema import json_schema

    print_json(json_schema())
