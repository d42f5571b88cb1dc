"""Whether all that a hub said is FHIR, in the eyes of fhir.resources: every answer that was written down. What comes from a
base of R5 is read by R5's models, all else by those of R4B, which has R4's types.

    python validate.py RECORD...

Prints how many of each type there were; ends with 1 and what is wrong, if anything is.
"""

import collections
import json
import sys
from urllib.parse import urlsplit

from fhir.resources import get_fhir_model_class as of_r5
from fhir.resources.R4B import get_fhir_model_class as of_r4
from pydantic import ValidationError

# What R6 adds to R5's actions, and a base of R5 takes and tells; no model of R5 knows it.
OF_R6 = {"timingRelativeTime", "applicabilityBehavior"}


def without_r6(value):
    if isinstance(value, dict):
        return {name: without_r6(inner) for name, inner in value.items() if name not in OF_R6}
    return [without_r6(inner) for inner in value] if isinstance(value, list) else value


told, wrong = collections.Counter(), collections.defaultdict(list)
for path in sys.argv[1:]:
    for line in open(path, encoding="utf-8"):
        answer = json.loads(line)
        if not answer["body"]:
            continue
        place = urlsplit(answer["asked"].split(" ")[-1]).path
        release, model_of = ("R5", of_r5) if place.startswith("/fhir/R5") else ("R4", of_r4)
        try:
            body = json.loads(answer["body"])
            kind = body["resourceType"]
            body = without_r6(body) if release == "R5" else body
            model_of(kind).model_validate(body)
            told[f"{release} {kind}" if kind != "Bundle" else f"{release} Bundle ({body['type']})"] += 1
        except (ValueError, KeyError, LookupError, ValidationError) as fault:
            wrong[f"{release}: {fault}"].append(f"{answer['status']} {answer['asked']}")
print(", ".join(f"{count} {kind}" for kind, count in sorted(told.items())))
for fault, answers in wrong.items():
    print(f"{fault}\n  in {len(answers)} answers, the first of them: {answers[0]}", file=sys.stderr)
sys.exit(1 if wrong or not told else 0)
