#!/usr/bin/env python3
"""Writes the gate's tables from the official definitions of one FHIR release.

    python3 generate.py FOLDER [NAME]

FOLDER holds the definitions of the release as HL7 publishes them: the unpacked package (one resource a .json file),
or the same resources one a line (.ndjson, .ndjson.gz). NAME is a release named in RELEASES below, `r4` unless told.
Two files are written beside this script:

    NAME.tsv        the structures: every type and its elements
    NAME-codes.tsv  the codes of every value set that an element is bound to as "required"

Only what the gate needs is kept, so that the tables are small, quick to load, and can be read in a review.
To add a release: name it in RELEASES, run this script, and give the two new files a table in the gate.
"""

import gzip
import json
import re
import sys
from pathlib import Path

RELEASES = {"r4": "hl7.fhir.r4.core 4.0.1", "r5": "hl7.fhir.r5.core 5.0.0"}

# What a later release adds, and is taken already: of its types the rows, of its value sets the codes (6.0.0-ballot4).
ADDED = {
    "r5": {
        "RequestOrchestration.action": [
            ("applicabilityBehavior", "0..1", "code", "action-applicability-behavior", ""),
            ("timing[x]", "0..1", "dateTime Age Period Duration Range Timing RelativeTime", "", ""),
        ],
        "RelativeTime": [
            ("id", "0..1", "string", "", ""),
            ("extension", "0..*", "Extension", "", ""),
            ("contextReference", "0..1", "Reference", "", "Σ"),
            ("contextDefinition", "0..1", "canonical", "", "Σ"),
            ("contextPath", "0..1", "string", "", "Σ"),
            ("contextCode", "0..1", "CodeableConcept", "", "Σ"),
            ("offset[x]", "0..1", "Duration Range", "", "Σ"),
            ("text", "0..1", "string", "", "Σ"),
        ],
    },
}
ADDED_CODES = {
    "r5": {
        "action-applicability-behavior": ["all", "any"],
        "action-participant-type": ["group"],
        "request-status": ["ended"],
        "request-intent": ["solicit-offer", "offer-response"],
    },
}

FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"

ABSTRACT = {"Resource", "DomainResource", "CanonicalResource", "MetadataResource"}

HEADER = """\
# {what} From the package {package} (HL7, CC0).
# Written by definitions/generate.py: change that, not this.
{columns}"""

STRUCTURE_COLUMNS = """\
# A type:    kind (resource, abstract, complex, primitive), name
# An element, indented below its type: name, min..max, types (of a choice: several), value set when its codes are closed,
# marks as FHIR's own tables have them: Σ it belongs to the summary, ?! it changes what others mean
"""

CODE_COLUMNS = """\
# value set, its codes
"""


def definitions(folder):
    """Every resource in the folder, whichever way it is packed."""
    for path in sorted(folder.rglob("*.json")):
        if not path.name.startswith("."):
            yield json.loads(path.read_text("utf-8"))
    for path in sorted(folder.rglob("*.ndjson*")):
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines if line.strip())


class Definitions:
    """The definitions by kind, and the value sets that were asked for so far."""

    def __init__(self, folder):
        self.structures, self.value_sets, self.code_systems = [], {}, {}
        self.bound = {}
        self.resource_types = set()
        for resource in definitions(folder):
            match resource.get("resourceType"):
                case "StructureDefinition" if resource.get("derivation") != "constraint" and resource["kind"] != "logical":
                    self.structures.append(resource)
                    if resource["kind"] == "resource" and not resource["abstract"]:
                        self.resource_types.add(resource["name"])
                case "SearchParameter":
                    self.resource_types.update(resource.get("base", []) + resource.get("target", []))
                case "ValueSet":
                    self.value_sets[resource["url"]] = resource
                case "CodeSystem":
                    self.code_systems[resource["url"]] = resource
        self.structures.sort(key=lambda structure: structure["name"])

    def codes(self, url):
        """The codes of a value set in their official order; None when these definitions cannot list them."""
        value_set = self.value_sets.get(url.split("|")[0])
        if value_set is None or "compose" not in value_set or "exclude" in value_set["compose"]:
            return None
        found = {}
        for include in value_set["compose"]["include"]:
            part = self.included(include)
            if part is None:
                return None
            found.update(dict.fromkeys(part))
        return list(found) or None

    def included(self, include):
        if "filter" in include:
            return None
        if "valueSet" in include:
            parts = [self.codes(url) for url in include["valueSet"]]
            return None if None in parts or "system" in include else [code for part in parts for code in part]
        if "concept" in include:
            return [concept["code"] for concept in include["concept"]]
        system = self.code_systems.get(include["system"])
        if system is None or system["content"] != "complete":
            return None
        return list(concept_codes(system.get("concept", [])))

    def closed_set(self, element):
        """The name of the value set whose codes are the only ones this element takes; empty when there is none."""
        binding = element.get("binding", {})
        types = {type["code"] for type in element.get("type", [])}
        if binding.get("strength") != "required" or types != {"code"} or "valueSet" not in binding:
            return ""
        name = binding["valueSet"].split("|")[0].rsplit("/", 1)[1]
        codes = self.codes(binding["valueSet"]) or codes_in_words(element["short"])
        if codes is None:
            return ""
        self.bound[name] = codes
        return name


def concept_codes(concepts):
    for concept in concepts:
        yield concept["code"]
        yield from concept_codes(concept.get("concept", []))


def codes_in_words(short):
    """The codes as the element's own short text lists them: the only place of some whose code system lives elsewhere."""
    codes = short.split(" | ")
    return codes if len(codes) > 2 and all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes) else None


def kind(structure):
    if structure["kind"] == "primitive-type":
        return "primitive"
    if structure["abstract"] and structure["kind"] == "resource":
        return "abstract"
    return "resource" if structure["kind"] == "resource" else "complex"


def type_name(element, type):
    """The type as the gate names it: FHIR's own, also where the definition says how FHIRPath sees it."""
    if re.fullmatch(r"[A-Z]\w+\.id", element["path"]) and element.get("base", {}).get("path") == "Resource.id":
        return "id"
    if type["code"].startswith("http://hl7.org/fhirpath/"):
        said = [extension for extension in type.get("extension", []) if extension["url"] == FHIR_TYPE]
        return (said[0].get("valueUrl") or said[0].get("valueUri")) if said else "string"
    return type["code"]


def types(element, parents):
    """What may stand in this element: the name of a type, or the path of the elements nested in it."""
    if "contentReference" in element:
        return [element["contentReference"].split("#")[1]]
    if element["path"] in parents:
        return [element["path"]]
    return list(dict.fromkeys(type_name(element, type) for type in element["type"]))


def marks(element):
    return ("?!" if element.get("isModifier") else "") + ("Σ" if element.get("isSummary") else "")


def write_type(out, kind, name, rows):
    out.write(f"{kind}\t{name}\n")
    out.writelines(row + "\n" for row in rows)


def added(rows, more):
    """The rows of a type, with those of a later release at the end, or in the place of what they widen."""
    later = {name: "\t".join(["", name, *rest]).rstrip() for name, *rest in more}
    kept = [later.pop(row.split("\t")[1], row) for row in rows]
    return kept + list(later.values())


def write_structures(known, out, more):
    names = {structure["name"] for structure in known.structures}
    for structure in known.structures:
        of_kind = kind(structure)
        if of_kind == "primitive":
            out.write(f"primitive\t{structure['name']}\n")
            continue
        elements = structure["snapshot"]["element"][1:]
        parents = {element["path"].rsplit(".", 1)[0] for element in elements}
        groups = {structure["name"]: []}
        groups.update((element["path"], []) for element in elements if element["path"] in parents)
        for element in elements:
            parent, name = element["path"].rsplit(".", 1)
            count = f"{element['min']}..{element['max']}"
            row = ["", name, count, " ".join(types(element, parents)), known.closed_set(element), marks(element)]
            groups[parent].append("\t".join(row).rstrip())
        for name, rows in groups.items():
            kind_here = of_kind if name == structure["name"] else "complex"
            write_type(out, kind_here, name, added(rows, more.get(name, [])))
    for name in sorted(more.keys() - names):
        if "." not in name:
            write_type(out, "complex", name, added([], more[name]))


def main():
    folder, name = Path(sys.argv[1]), (sys.argv[2:] or ["r4"])[0]
    known, here = Definitions(folder), Path(__file__).parent
    package = RELEASES[name]
    with open(here / f"{name}.tsv", "w", encoding="utf-8") as out:
        out.write(HEADER.format(what="The structures of FHIR.", package=package, columns=STRUCTURE_COLUMNS))
        write_structures(known, out, ADDED.get(name, {}))
    for value_set, codes in ADDED_CODES.get(name, {}).items():
        known.bound[value_set] = list(dict.fromkeys([*known.bound.get(value_set, []), *codes]))
    # Every release names its own resource types here; the gate asks this set for what is a resource at all.
    # Where no value set lists them, its definitions name them all: what is searched, and what may be pointed to.
    of_set = known.codes("http://hl7.org/fhir/ValueSet/resource-types")
    known.bound["resource-types"] = of_set or sorted(known.resource_types - ABSTRACT)
    with open(here / f"{name}-codes.tsv", "w", encoding="utf-8") as out:
        out.write(HEADER.format(what="The closed value sets of FHIR.", package=package, columns=CODE_COLUMNS))
        out.writelines(f"{value_set}\t{' '.join(codes)}\n" for value_set, codes in sorted(known.bound.items()))


if __name__ == "__main__":
    main()
