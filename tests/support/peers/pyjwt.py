"""What PyJWT says about tokens: a JSON object a line on standard input, `ok` or the reason a line on standard output."""

import json
import sys

import jwt

keys = {}


def judge(asked):
    name = json.dumps(asked["key"], sort_keys=True)
    if name not in keys:
        keys[name] = jwt.PyJWK(asked["key"], asked["algorithm"])
    try:
        jwt.decode(
            asked["token"],
            keys[name],
            algorithms=[asked["algorithm"]],
            issuer=asked["issuer"],
            audience=asked["audience"],
            leeway=asked["skew"],
            options={"require": ["exp", "aud", "iss"], "strict_aud": False},
        )
        return "ok"
    except Exception as error:  # Whatever it raises is a refusal.
        return f"{type(error).__name__}: {error}".replace("\n", " ")


for line in sys.stdin:
    sys.stdout.write(judge(json.loads(line)) + "\n")
