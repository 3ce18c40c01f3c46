"""Holds instances against a JSON Schema: {"schema": ..., "instances": [...]} in, a list of their faults out."""

import json
import sys

from jsonschema import Draft202012Validator

asked = json.load(sys.stdin)
Draft202012Validator.check_schema(asked["schema"])
validator = Draft202012Validator(asked["schema"])
faults = [[error.json_path + ": " + error.message for error in validator.iter_errors(instance)] for instance in asked["instances"]]
json.dump(faults, sys.stdout)
