"""A gateway over a folder of its own, started by a command and asked over HTTP."""

import json
import os
import re
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.request

from .tools import PROGRAM

# It guards a folder that is gone in seconds.
TOKEN = 'a-token-for-checks-of-deployment'

WAIT_TIMEOUT_SECS = 30

# Certificates are created for a check, and trusted by no other program.
UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname, UNVERIFIED.verify_mode = False, ssl.CERT_NONE


class Gateway:
    """Runs within a `with`, and has ended after it, by itself and well."""

    def __init__(self, before: tuple[str, ...] = (), environment: dict[str, str] | None = None):
        self.before = before
        self.environment = environment or {}

    def __enter__(self) -> 'Gateway':
        self.folder = tempfile.TemporaryDirectory(prefix='larder-deploy-')
        own = {name: value for name, value in os.environ.items() if not name.startswith(('LARDER_', 'AWS_'))}
        own |= {'LARDER_DATA': f'{self.folder.name}/data', 'LARDER_LISTEN': '127.0.0.1:0', 'LARDER_TOKEN': TOKEN}
        self.log = open(f'{self.folder.name}/log', 'w+')
        self.process = subprocess.Popen(
            [*self.before, PROGRAM, 'serve'],
            cwd=self.folder.name,
            env=own | self.environment,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.url = self.wait_until_it_listens()
        return self

    def written(self) -> str:
        with open(self.log.name) as log:
            return log.read()

    def wait_until_it_listens(self) -> str:
        deadline = time.monotonic() + WAIT_TIMEOUT_SECS
        while time.monotonic() < deadline:
            found = re.search(r'listens on (https?://\S+)\n', self.written())
            if found:
                return found[1]
            assert self.process.poll() is None, f'it ended:\n{self.written()}'
            time.sleep(0.02)
        raise AssertionError(f'it does not listen:\n{self.written()}')

    def ask(self, method: str, path: str, body: bytes | None = None, parses: bool = True):
        headers = {'Authorization': f'Bearer {TOKEN}', 'Content-Type': 'application/octet-stream'}
        request = urllib.request.Request(self.url + path, method=method, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=WAIT_TIMEOUT_SECS, context=UNVERIFIED) as answer:
            text = answer.read()
            return json.loads(text) if parses else text

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            status = self.process.wait(timeout=WAIT_TIMEOUT_SECS)
            assert status == 0, f'it ended with {status}:\n{self.written()}'
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.log.close()
            self.folder.cleanup()
