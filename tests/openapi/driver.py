"""Holds a running Larder against its own description: the document is valid, and no answer is one that it does not allow.

    LARDER_URL=http://127.0.0.1:8011 LARDER_TOKEN=... python driver.py [arguments of `schemathesis run`]
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from hooks import TOKEN, URL, ask, furnish

HERE = Path(__file__).parent

# Seconds after which something hangs; all of it takes a minute or two on a machine with nothing else to do.
BUDGET = 600


def main():
    with urllib.request.urlopen(f"{URL}/v2/openapi.json", timeout=20) as answer:
        description = json.load(answer)
    OpenAPIV31SpecValidator(description).validate()
    operations = sum(len(item.keys() - {"parameters"}) for item in description["paths"].values())
    print(f"The description is a valid one, of {operations} operations.", flush=True)

    store = furnish()
    run = ask("POST", "/v2/acts/oven/runs", {"loaves": 2})
    ask("POST", "/v2/actor-tasks/oven/runs", {"loaves": 2})
    token = ask("POST", "/larder/v1/tokens", {"username": "baker"})
    environment = {
        **os.environ,
        "LARDER_CHECKED_STORE": store["id"],
        "LARDER_CHECKED_RUN": run["id"],
        "LARDER_CHECKED_TOKEN": token["id"],
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    command += [f"{URL}/v2/openapi.json", "--header", f"Authorization: Bearer {TOKEN}", *sys.argv[1:]]
    # It leaves files in its working directory.
    with tempfile.TemporaryDirectory() as folder:
        try:
            ended = subprocess.run(command, env=environment, cwd=folder, timeout=BUDGET).returncode
        except subprocess.TimeoutExpired:
            sys.exit(f"Schemathesis has not come to an end within {BUDGET} s.")
    # Whatever was asked: the administrator still is one.
    session = ask("GET", "/larder/v1/session")
    assert session["isAdmin"], session
    sys.exit(ended)


main()
