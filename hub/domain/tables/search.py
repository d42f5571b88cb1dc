#!/usr/bin/env python3
"""Writes the table of search parameters from the official definitions of FHIR R4.

    python3 search.py FOLDER

FOLDER holds HL7's SearchParameter resources: the unpacked package (one resource a .json file), or the same one a line
(.ndjson, .ndjson.gz). Written is search.tsv beside this script: of every type of resource that the gate's tables know,
the parameters of a kind that the hub can search by, each with the part of its expression that is of this type.
"""

import gzip
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
STRUCTURES = HERE / "../../../schemas/definitions/r4.tsv"
KINDS = ["token", "reference", "date", "uri", "string", "number", "quantity", "composite"]

HEADER = """\
# The search parameters of FHIR R4. From the package hl7.fhir.r4.core 4.0.1 (HL7, CC0).
# Written by search.py: change that, not this.
# Type (Resource: every one), name, kind (a date is `range` where it may be a Period or a Timing), element, expression,
# and of a reference the types that it may point to; of a composite its parts: a parameter of the type, and where the
# part's value is from what the expression gives.
# The element is what the database keeps values by: two parameters of one element share them. A name, once released, stays.
"""

# Of which the values are whole resources, or nothing that is stored; and what every type has in columns of its own.
LEFT_OUT = {("Bundle", "composition"), ("Bundle", "message"), ("Resource", "_id"), ("Resource", "_lastUpdated")}
# Of the actions at the top only: the hub's own looks into those within them, as R6 does.
LEFT_OUT |= {("RequestGroup", "participant")}
# Which sounds are alike, no standard says.
LEFT_OUT |= {(kind, "phonetic") for kind in ("Organization", "Patient", "Person", "Practitioner", "RelatedPerson")}


def resources(folder):
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".ndjson", ".ndjson.gz")) and path.name.startswith("SearchParameter"):
            with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
                yield from map(json.loads, lines)
        elif path.name.startswith("SearchParameter-") and path.suffix == ".json":
            yield json.loads(path.read_text(encoding="utf-8"))


def structures():
    """Of each type its elements by name, each with its types."""
    types, current = {}, None
    for line in STRUCTURES.read_text(encoding="utf-8").splitlines():
        if line.startswith("\t"):
            name, _, kinds = line.split("\t")[1:4]
            current[name] = kinds.split(" ")
        elif not line.startswith("#"):
            kind, name = line.split("\t")
            current = types.setdefault(name, {}) if kind != "primitive" else {}
            if kind == "resource":
                current["resourceType"] = []
    return types


def element_of(kind, expression):
    """`Task.for.where(resolve() is Patient)` is of `for`, `(X.medication as Reference)` of `medicationReference`."""
    parts = []
    for part in expression.split(" | "):
        part = part[1:-1] if part.startswith("(") and part.endswith(")") else part
        part = re.sub(r"^\((.+) as (\w+)\)\.", lambda cast: f"{cast[1]}{cast[2]}.", part)
        part = re.sub(r"\.where\(resolve\(\) is \w+\)$", "", part)
        part = part.removeprefix(f"{kind}.")
        cast = re.fullmatch(r"([\w.]+)(?: as (\w+)|\.as\((\w+)\))", part)
        suffix = (cast[2] or cast[3]) if cast else ""
        parts.append(cast[1] + suffix[0].upper() + suffix[1:] if cast else part)
    return "|".join(parts)


# Composites that name for each of their parts the parameter of the other.
SWAPPED = {"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"}


def parts_of(parameter, names):
    """`code code $ value-quantity value.as(Quantity)`"""
    parts = parameter["component"]
    named = [names[part["definition"]] for part in parts]
    named = named[::-1] if parameter["url"] in SWAPPED else named
    # The definitions write a type in capitals that is none.
    path = lambda part: part["expression"].replace("DateTime", "dateTime")
    return " $ ".join(f"{name} {path(part)}" for name, part in zip(named, parts))


def types_at(types, kind, expression):
    """The types that an expression without functions may give."""
    found = set()
    for part in expression.split(" | "):
        cast = re.search(r"(?: as |\.as\()(\w+)\)", part)
        if cast:
            found.add(cast[1])
            continue
        at = [kind]
        for name in part.strip("()").split(".")[1:]:
            at = [t for of in at for t in types.get(of, {}).get(name) or types.get(of, {}).get(name + "[x]") or []]
        found.update(at)
    return found


def main(folder):
    types = structures()
    rows = {}
    parameters = list(resources(folder))
    names = {parameter["url"]: parameter["code"] for parameter in parameters}
    for parameter in parameters:
        for kind in parameter.get("base", []):
            known = kind == "Resource" or "resourceType" in types.get(kind, {})
            if not known or parameter["type"] not in KINDS or (kind, parameter["code"]) in LEFT_OUT:
                continue
            # A composite may begin with the resource itself.
            of_type = re.compile(rf"\(?{kind}(\.|$)")
            parts = [part for part in parameter.get("expression", "").split(" | ") if of_type.match(part)]
            if not parts:
                continue
            # What is searched by is the value of an extension.
            parts = [f"{part}.value" if part.endswith("')") and ".extension(" in part else part for part in parts]
            expression = " | ".join(parts)
            way = parameter["type"]
            if way == "date" and types_at(types, kind, expression) & {"Period", "Timing"}:
                way = "range"
            only = re.search(r"resolve\(\) is (\w+)", expression)
            targets = [only[1]] if only else parameter.get("target", [])
            # So many stand for any.
            targets = [] if len(targets) > 30 else targets
            if way == "composite":
                targets = [parts_of(parameter, names)]
            element = element_of(kind, expression)
            # A second one of a name comes from an extension of the standard.
            row = (kind, parameter["code"], way, element, expression, " ".join(targets))
            rows.setdefault(row[:2], row)
    text = "".join("\t".join(rows[name]).rstrip("\t") + "\n" for name in sorted(rows))
    (HERE / "search.tsv").write_text(HEADER + text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
