"""By which of FHIR's search parameters resources say something, in the eyes of fhirpathpy: the expressions are those that HL7
publishes.

    python extracts.py SearchParameter.ndjson.gz RESOURCES

A line of RESOURCES is a resource; a line of output is the list of the parameters that have a value in it.
"""

import gzip
import json
import re
import sys

from fhirpathpy import compile
from fhirpathpy.models import models

# fhirpathpy resolves nothing: what a reference is of stands in it.
RESOLVED = re.compile(r"\.where\(resolve\(\) is (\w+)\)")
OF_TYPE = r".where(reference.matches('(^|/)\1/') or type = '\1')"

# R4 writes `as` where there may be several values; the language has `ofType` for these.
AS = re.compile(r"\(([\w.]+) as (\w+)\)|\.as\((\w+)\)")


def plain(text):
    of_type = lambda found: f"{found[1]}.ofType({found[2]})" if found[1] else f".ofType({found[3]})"
    return AS.sub(of_type, RESOLVED.sub(OF_TYPE, text))


def expression(parameter):
    whole = plain(parameter["expression"])
    if parameter["type"] == "composite":
        parts = " and ".join(f"({plain(part['expression'])}).exists()" for part in parameter["component"])
        # Words beside no code are no part of a pair.
        parts = parts.replace(".ofType(CodeableConcept)", ".ofType(CodeableConcept).coding")
        return " | ".join(f"{path}.where({parts})" for path in whole.split(" | "))
    return whole


def names(value):
    """Whether a reference names something elsewhere: some have words alone, or what is contained."""
    if not isinstance(value, dict):
        return not str(value).startswith("#")
    return not value.get("reference", "#").startswith("#") or "value" in value.get("identifier", {})


by_type = {}
with gzip.open(sys.argv[1], "rt", encoding="utf-8") as definitions:
    for parameter in map(json.loads, definitions):
        if "expression" in parameter and parameter["type"] != "special":
            for base in parameter["base"]:
                by_type.setdefault(base, []).append((parameter["code"], parameter["type"], expression(parameter)))

compiled = {}


def values(resource, text):
    # `Resource` and `DomainResource` are what every resource is.
    text = re.sub(r"\b(Domain)?Resource\.", f"{resource['resourceType']}.", text)
    if text not in compiled:
        compiled[text] = compile(text, models["r4"])
    return compiled[text](resource)


def is_when(value):
    """Whether a date is told: a Timing may say how often alone."""
    is_timing = isinstance(value, dict) and ("repeat" in value or "code" in value)
    return not is_timing or "event" in value or "boundsPeriod" in value.get("repeat", {})


CAN_BE_ASKED = {"reference": names, "date": is_when}


def is_said(resource, kind, text):
    return any(map(CAN_BE_ASKED.get(kind, lambda value: True), values(resource, text)))


with open(sys.argv[2], encoding="utf-8") as resources:
    for resource in map(json.loads, resources):
        bases = (resource["resourceType"], "DomainResource", "Resource")
        parameters = [parameter for base in bases for parameter in by_type.get(base, [])]
        print(json.dumps([code for code, kind, text in parameters if is_said(resource, kind, text)]))
