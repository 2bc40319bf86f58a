# SPDX-License-Identifier: Apache-2.0
"""Judges YAML files by a JSON Schema, as an editor's language server does: SCHEMA FILE…

Prints a line for each file: `ok`, or the place and the sentence of each problem. PyYAML reads YAML 1.1,
where `off` is false; language servers read YAML 1.2, so the words of its core schema are set here.
"""

import json
import re
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema (§10.3.2)."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
]:
    Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first))

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        document = yaml.load(file, Loader)
    problems = sorted(validator.iter_errors(document), key=lambda problem: list(problem.path))
    words = "; ".join(
        f"{'.'.join(map(str, problem.path))}: {problem.message}" for problem in problems)
    print(words or "ok")
