"""Answers questions by fhirpathpy: a line of standard input is {"expression", "resource"}, a line of output its answer.

An answer is the list of values, or {"fault": why}.
"""

import json
import sys
from decimal import Decimal

from fhirpathpy import compile
from fhirpathpy.models import models

compiled = {}


def plain(value):
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


for line in sys.stdin:
    question = json.loads(line)
    expression = question["expression"]
    try:
        if expression not in compiled:
            compiled[expression] = compile(expression, models["r4"])
        answer = plain(compiled[expression](question["resource"]))
    except Exception as fault:
        answer = {"fault": type(fault).__name__}
    print(json.dumps(answer), flush=True)
