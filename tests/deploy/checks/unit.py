"""The unit of systemd, and the balancer's configuration. No systemd runs here: its own tools read the unit, and the program runs
under a watch on the calls that the unit forbids."""

import re
import tempfile
from pathlib import Path

from .gateway import Gateway
from .tools import DEPLOY, PROGRAM, run, said_by

UNIT = DEPLOY / 'systemd' / 'larder.service'

# What systemd calls "exposure", times ten: below 2 of 10 is the best that it has a word for.
MOST_EXPOSED = 15


def systemd_understands_the_unit():
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / UNIT.name
        # It wants the program to be there.
        copy.write_text(UNIT.read_text().replace('/usr/local/bin/larder', PROGRAM))
        said = said_by('systemd-analyze', 'verify', '--man=no', copy)
        assert not said.strip(), said


def the_unit_leaves_little_that_can_be_attacked():
    run('systemd-analyze', 'security', '--offline=true', f'--threshold={MOST_EXPOSED}', '--no-pager', UNIT)


def calls_of(group: str) -> set[str]:
    """The system calls of a group of systemd's, with those of the groups in it."""
    calls: set[str] = set()
    for line in run('systemd-analyze', 'syscall-filter', '--no-pager', group).splitlines():
        word = line.strip()
        if line.startswith(' ') and word and not word.startswith('#'):
            calls |= calls_of(word) if word.startswith('@') else {word}
    return calls


def the_program_does_nothing_that_the_unit_forbids():
    filters = re.findall(r'^SystemCallFilter=(~?)(.*)$', UNIT.read_text(), re.MULTILINE)
    allowed: set[str] = set()
    for forbids, groups in filters:
        for group in groups.split():
            allowed = allowed - calls_of(group) if forbids else allowed | calls_of(group)
    assert len(allowed) > 200, len(allowed)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / 'calls'
        with Gateway(before=('strace', '--follow-forks', '--quiet=all', f'--output={trace}')) as gateway:
            store = gateway.ask('POST', '/v2/key-value-stores?name=pantry')['data']['id']
            for size in (10, 100_000):
                path = f'/v2/key-value-stores/{store}/records/of-{size}'
                gateway.ask('PUT', path, b'a' * size, parses=False)
                assert len(gateway.ask('GET', path, parses=False)) == size
                gateway.ask('DELETE', path, parses=False)
        text = trace.read_text()
    made = set(re.findall(r'^\d+ +(\w+)\(', text, re.MULTILINE))
    assert 'fdatasync' in made or 'fsync' in made, made
    # The first is how it is started, before any filter holds.
    assert made - allowed <= {'execve'}, f'the unit forbids {made - allowed}'
    executable = re.findall(r'mmap\([^)]*PROT_WRITE\|PROT_EXEC[^)]*|mprotect\([^)]*PROT_WRITE[^)]*PROT_EXEC[^)]*', text)
    assert not executable, f'MemoryDenyWriteExecute forbids {executable[0]}'


def nginx_understands_the_balancer():
    text = (DEPLOY / 'compose' / 'balancer.conf').read_text()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / 'balancer.conf'
        # Names that only compose knows, and the folder for temporary files.
        place.write_text(re.sub(r'larder-\d:', '127.0.0.1:', text).replace('/tmp/', f'{folder}/'))
        run('nginx', '-t', '-c', place)


CHECKS = [
    systemd_understands_the_unit,
    the_unit_leaves_little_that_can_be_attacked,
    the_program_does_nothing_that_the_unit_forbids,
    nginx_understands_the_balancer,
]
