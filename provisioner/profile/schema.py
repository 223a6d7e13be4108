"""The JSON Schema of a profile, from the table that the parser uses.

An editor completes and checks profiles with it. What needs meaning (a requirement's grammar, an index that
exists) only the parser says.
"""

from typing import Any

from provisioner.ground.yaml_fields import MAX_TEXT, Flag, ListOf, MapOf, Number, Record, Spec, Text
from provisioner.profile.keys import PROFILE, REQUIRED_MERGED

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema of one profile file (draft 2020-12)."""
    # What a profile extends, or who extends a stack, may give the required keys.
    complete = {
        "if": {
            "not": {
                "anyOf": [
                    {"required": ["extends"]},
                    {"properties": {"stack": {"const": True}}, "required": ["stack"]},
                ]
            }
        },
        "then": {
            "required": list(REQUIRED_MERGED),
            "anyOf": [
                {"required": ["family"]},
                {"properties": {"validation": {"required": ["model"]}}, "required": ["validation"]},
            ],
        },
    }
    return {"$schema": DIALECT, "title": "provision profile", **schema_of(PROFILE), **complete}


def schema_of(spec: Spec) -> dict[str, Any]:
    """Return the schema of one kind of value."""
    match spec:
        case Text():
            schema = _text(spec)
        case Flag():
            schema = {"type": "boolean"}
        case Number():
            schema = {"type": "number", "minimum": spec.minimum, "maximum": spec.maximum}
        case ListOf():
            schema = _list(spec)
        case MapOf():
            values = schema_of(spec.value)
            schema = {"type": "object", "propertyNames": _text(spec.key), "additionalProperties": values}
        case Record():
            schema = {
                "type": "object",
                "properties": {name: schema_of(value) for name, value in spec.fields.items()},
                "additionalProperties": False,
            }
            if spec.required:
                schema["required"] = list(spec.required)
    return {**schema, "description": spec.description} if spec.description else schema


def _text(spec: Text) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "maxLength": MAX_TEXT}
    if spec.choices:
        schema["enum"] = list(spec.choices)
    if spec.pattern:
        schema["pattern"] = f"^(?:{spec.pattern})$"
    return schema


def _list(spec: ListOf) -> dict[str, Any]:
    item = schema_of(spec.item)
    schema: dict[str, Any] = {"type": "array", "items": item}
    if spec.min_items:
        schema["minItems"] = spec.min_items
    return {"anyOf": [item, schema]} if spec.or_one else schema
