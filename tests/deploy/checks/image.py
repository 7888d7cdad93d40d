"""The program as the image starts it: as an ordinary user over a read-only root with nothing in it but what the base image has, as the
first process of its own. No engine for containers runs here; the namespaces that one is made of do."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .compose import BACKUP
from .gateway import TOKEN
from .tools import DEPLOY, PROGRAM, run

DOCKERFILE = (DEPLOY / 'Dockerfile').read_text()

# The user of distroless images that is not root.
USER = 65532

# Libraries of their image for programs in C, beside the loader.
LIBRARIES = {'libc.so.6', 'libm.so.6', 'libdl.so.2', 'librt.so.1', 'libpthread.so.0', 'libgcc_s.so.1', 'libstdc++.so.6'}

WAIT_TIMEOUT_SECS = 30

# Runs within namespaces of its own: the root is read only, /data and /backups are not, and the network is a loopback.
# Arguments: the folder, the user to become (`-`: the present one), and the command.
STAGE = """
set -e
folder="$1"; user="$2"; shift 2
ip link set lo up
mount --bind "$folder/root" "$folder/root"
mount --bind "$folder/data" "$folder/root/data"
mount --bind "$folder/backups" "$folder/root/backups"
mount -t proc proc "$folder/root/proc"
mount -o remount,bind,ro "$folder/root"
if [ "$user" = - ]; then exec setpriv --no-new-privs chroot "$folder/root" "$@"; fi
exec setpriv --no-new-privs chroot --userspec="$user:$user" --groups="$user" "$folder/root" "$@"
"""

# Asks a gateway from within its network: method, path, body.
ASK = f"""
import sys, urllib.request
method, path, body = sys.argv[1:]
headers = {{'Authorization': 'Bearer {TOKEN}', 'Content-Type': 'text/plain'}}
request = urllib.request.Request('http://127.0.0.1:8011' + path, method=method, data=body.encode() or None, headers=headers)
sys.stdout.write(urllib.request.urlopen(request, timeout=10).read().decode())
"""


def instruction(name: str) -> list[str]:
    """The words of an instruction in the form of JSON."""
    return json.loads(re.search(rf'^{name} (\[.*\])$', DOCKERFILE, re.MULTILINE)[1])


def environment() -> dict[str, str]:
    text = re.search(r'^ENV ((?:.*\\\n)*.*)$', DOCKERFILE, re.MULTILINE)[1]
    return dict(re.findall(r'(\w+)=(\S+)', text))


class Container:
    """Runs the image's command within a `with`; what is in `folder` stays from one to the next."""

    def __init__(self, folder: Path, **variables: str):
        self.folder = folder
        self.variables = {**environment(), 'LARDER_TOKEN': TOKEN, **variables}

    def __enter__(self) -> 'Container':
        is_root = os.geteuid() == 0
        # A user other than root is an ordinary user already; a user namespace permits the mounts.
        as_user = [] if is_root else ['--user', '--map-current-user', '--keep-caps']
        self.log = open(self.folder / 'log', 'w+')
        self.process = subprocess.Popen(
            ['unshare', *as_user, '--mount', '--net', '--pid', '--fork', '--kill-child', 'sh', '-c', STAGE, 'sh',
             str(self.folder), str(USER) if is_root else '-', *instruction('ENTRYPOINT'), *instruction('CMD')],
            env={'PATH': os.environ['PATH'], **self.variables},
            stdout=self.log,
            stderr=self.log,
        )
        return self

    def written(self) -> str:
        return (self.folder / 'log').read_text()

    def first(self) -> int:
        """The first process of the container, by its number outside."""
        children = Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
        deadline = time.monotonic() + WAIT_TIMEOUT_SECS
        while not (found := children.read_text().split()):
            assert time.monotonic() < deadline, self.written()
            time.sleep(0.01)
        return int(found[0])

    def status(self) -> dict[str, str]:
        text = Path(f'/proc/{self.first()}/status').read_text()
        return dict(line.split(':\t', 1) for line in text.splitlines())

    def inside(self, *command: str, root: bool = False, as_user: bool = False) -> subprocess.CompletedProcess:
        """Runs a command in the container's network, and with its root and as its user if asked to."""
        whose = ['--user', '--preserve-credentials'] if os.geteuid() else []
        if as_user and not os.geteuid():
            whose = [f'--setuid={USER}', f'--setgid={USER}']
        where = ['--mount', '--root'] if root else []
        enter = ['nsenter', f'--target={self.first()}', '--net', *whose, *where, '--', *command]
        given = {'PATH': os.environ['PATH'], **self.variables}
        return subprocess.run(enter, env=given, capture_output=True, text=True, timeout=WAIT_TIMEOUT_SECS)

    def health(self) -> subprocess.CompletedProcess:
        command = json.loads(re.search(r'^HEALTHCHECK .*? CMD (\[.*\])$', DOCKERFILE, re.MULTILINE)[1])
        return self.inside(*command, root=True)

    def ask(self, method: str, path: str, body: str = '') -> str:
        done = self.inside(sys.executable, '-c', ASK, method, path, body)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_healthy(self) -> None:
        deadline = time.monotonic() + WAIT_TIMEOUT_SECS
        while (found := self.health()).returncode:
            assert self.process.poll() is None, f'it ended:\n{self.written()}'
            assert time.monotonic() < deadline, f'{found.stderr}\n{self.written()}'
            time.sleep(0.05)
        assert found.stdout == 'ready\n', found.stdout

    def stop(self, by: signal.Signals) -> int:
        os.kill(self.first(), by)
        return self.process.wait(timeout=WAIT_TIMEOUT_SECS)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def laid_out(folder: Path) -> Path:
    """A root with the program and the libraries that it asks for, and a folder for data."""
    root = folder / 'root'
    for path in ('usr/local/bin', 'data', 'backups', 'proc', 'tmp', 'etc'):
        (root / path).mkdir(parents=True)
    for volume in (folder / 'data', folder / 'backups'):
        volume.mkdir()
        if os.geteuid() == 0:
            os.chown(volume, USER, USER)
    program = root / 'usr/local/bin/larder'
    run('strip', '--strip-debug', '-o', program, PROGRAM)
    linked = re.findall(r'(/\S+)', re.sub(r'\S+ => ', '', run('ldd', program)))
    for library in linked:
        assert Path(library).name in LIBRARIES or 'ld-linux' in library, f'the image has no {library}'
        place = root / library.lstrip('/')
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    # As the user there has to be able to come by.
    for path in (folder, root):
        path.chmod(0o755)
    return folder


def the_image_serves_without_privileges_over_a_read_only_root():
    with tempfile.TemporaryDirectory(prefix='larder-image-') as name:
        folder = laid_out(Path(name))
        with Container(folder) as container:
            container.is_healthy()
            status = container.status()
            user = USER if os.geteuid() == 0 else os.geteuid()
            assert status['Uid'].split() == [str(user)] * 4, status['Uid']
            assert status['NoNewPrivs'] == '1', status['NoNewPrivs']
            if os.geteuid() == 0:
                assert int(status['CapEff'], 16) == 0 and int(status['CapPrm'], 16) == 0, status['CapEff']
            assert status['NSpid'].split()[-1] == '1', status['NSpid']
            container.ask('POST', '/v2/key-value-stores?name=pantry')
            container.ask('PUT', '/v2/key-value-stores/~pantry/records/salt', 'a pinch')
            backup = container.inside(*instruction('ENTRYPOINT'), *BACKUP, root=True, as_user=True)
            assert backup.returncode == 0 and 'all of it was read back and verified' in backup.stdout, backup.stderr
            [taken] = (folder / 'backups').iterdir()
            assert (taken / 'backup.json').exists() and taken.stat().st_uid == user, taken
            assert container.stop(signal.SIGTERM) == 0, container.written()
        with Container(folder) as container:
            container.is_healthy()
            assert container.ask('GET', '/v2/key-value-stores/~pantry/records/salt') == 'a pinch'
            assert container.stop(signal.SIGINT) == 0, container.written()
        assert not (folder / 'root' / 'data').exists() or not list((folder / 'root' / 'data').iterdir())
        assert not list((folder / 'root' / 'tmp').iterdir())
        assert not list((folder / 'root' / 'backups').iterdir())


def a_root_that_is_read_only_is_one():
    with tempfile.TemporaryDirectory(prefix='larder-image-') as name:
        with Container(laid_out(Path(name)), LARDER_DATA='/elsewhere') as container:
            assert container.process.wait(timeout=WAIT_TIMEOUT_SECS) != 0
            assert 'Read-only file system' in container.written(), container.written()


CHECKS = [the_image_serves_without_privileges_over_a_read_only_root, a_root_that_is_read_only_is_one]
