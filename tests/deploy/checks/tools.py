"""Paths of the checked files, and functions that run tools on them."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / 'deploy'
PROGRAM = os.environ.get('LARDER_PROGRAM', '')


def beside_python(name: str) -> str:
    """A program of the virtual environment."""
    return str(Path(sys.executable).parent / name)


def run(*command: str | Path, text: str | None = None, environment: dict[str, str] | None = None) -> str:
    """Returns the output of a command; it must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        timeout=120,
    )
    shown = ' '.join(str(word) for word in command)
    assert done.returncode == 0, f'{shown} failed ({done.returncode}):\n{done.stdout}{done.stderr}'
    return done.stdout


def said_by(*command: str | Path) -> str:
    """All that a command writes, warnings too; it must succeed."""
    return run('sh', '-c', 'exec "$@" 2>&1', 'sh', *command)


def fails(*command: str | Path) -> str:
    """Returns the error output of a command; it must not succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode != 0, f'{command} was expected to fail'
    return done.stdout + done.stderr


def certificate(folder: Path, host: str) -> Path:
    """A file with a certificate for a host and its key."""
    key, public, both = folder / 'key', folder / 'public', folder / 'both.pem'
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
        '-subj', f'/CN={host}', '-addext', f'subjectAltName=DNS:{host}', '-keyout', key, '-out', public)
    both.write_text(public.read_text() + key.read_text())
    return both


def documents(text: str) -> list[dict]:
    """The documents of a YAML stream."""
    return [document for document in yaml.safe_load_all(text) if document]


def seconds(text: str) -> int:
    """A time such as `25s` or `1m30s`."""
    total, number = 0, ''
    for sign in text:
        if sign.isdigit():
            number += sign
        else:
            total, number = total + int(number) * {'s': 1, 'm': 60, 'h': 3600}[sign], ''
    return total
