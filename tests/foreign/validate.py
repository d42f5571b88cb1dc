"""Whether all that a hub said is FHIR, in the eyes of fhir.resources (R4B): every answer that the clients wrote down.

    python validate.py RECORD...

Prints how many of each type there were; ends with 1 and what is wrong, if anything is.
"""

import collections
import json
import sys

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

told, wrong = collections.Counter(), []
for path in sys.argv[1:]:
    for line in open(path, encoding="utf-8"):
        answer = json.loads(line)
        if not answer["body"]:
            continue
        try:
            body = json.loads(answer["body"])
            kind = body["resourceType"]
            get_fhir_model_class(kind).model_validate(body)
            told[kind if kind != "Bundle" else f"Bundle ({body['type']})"] += 1
        except (ValueError, KeyError, LookupError, ValidationError) as fault:
            wrong.append(f"{answer['asked']} {answer['status']}: {fault}")
print(", ".join(f"{count} {kind}" for kind, count in sorted(told.items())))
for fault in wrong:
    print(fault, file=sys.stderr)
sys.exit(1 if wrong or not told else 0)
