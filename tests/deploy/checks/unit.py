"""The units of systemd, and the balancer's configuration. No systemd runs here: its own tools read them, and the program runs
under a watch on the calls that they forbid."""

import re
import tempfile
from pathlib import Path

from .gateway import Gateway
from .tools import DEPLOY, PROGRAM, run, said_by

UNIT = DEPLOY / 'systemd' / 'larder.service'
BACKUP = UNIT.with_name('larder-backup.service')
TIMER = UNIT.with_name('larder-backup.timer')

# Maximum for systemd's "exposure", times ten: below 2 of 10 is the best rating that it has.
MOST_EXPOSED = 15


def systemd_understands_the_units():
    with tempfile.TemporaryDirectory() as folder:
        for unit in (UNIT, BACKUP, TIMER):
            # It wants the program to be there.
            (Path(folder) / unit.name).write_text(unit.read_text().replace('/usr/local/bin/larder', PROGRAM))
        said = said_by('systemd-analyze', 'verify', '--man=no', *(Path(folder) / unit.name for unit in (UNIT, BACKUP, TIMER)))
        assert not said.strip(), said


def the_units_leave_little_that_can_be_attacked():
    for unit in (UNIT, BACKUP):
        run('systemd-analyze', 'security', '--offline=true', f'--threshold={MOST_EXPOSED}', '--no-pager', unit)


def settings(unit: Path, name: str) -> list[str]:
    return re.findall(rf'^{name}=(.*)$', unit.read_text(), re.MULTILINE)


def a_backup_is_taken_by_the_user_who_serves_into_a_folder_of_its_own():
    for name in ('User', 'DynamicUser', 'StateDirectoryMode', 'UMask'):
        assert settings(UNIT, name) == settings(BACKUP, name) != [], name
    [folders], [command] = settings(BACKUP, 'StateDirectory'), settings(BACKUP, 'ExecStart')
    assert folders.split() == [*settings(UNIT, 'StateDirectory'), 'larder-backups'], folders
    assert '--into /var/lib/larder-backups ' in command, command
    assert settings(BACKUP, 'Environment') == ['LARDER_DATA=/var/lib/larder'], settings(BACKUP, 'Environment')
    assert 'LARDER_DATA=/var/lib/larder' in settings(UNIT, 'Environment')
    [when] = settings(TIMER, 'OnCalendar')
    run('systemd-analyze', 'calendar', when)
    assert not settings(BACKUP, 'WantedBy') and settings(TIMER, 'WantedBy') == ['timers.target']


def calls_of(group: str) -> set[str]:
    """The system calls of a group of systemd's, with those of the groups in it."""
    calls: set[str] = set()
    for line in run('systemd-analyze', 'syscall-filter', '--no-pager', group).splitlines():
        word = line.strip()
        if line.startswith(' ') and word and not word.startswith('#'):
            calls |= calls_of(word) if word.startswith('@') else {word}
    return calls


def allowed_by(unit: Path) -> set[str]:
    """The system calls that a unit allows."""
    allowed: set[str] = set()
    for forbids, groups in re.findall(r'^SystemCallFilter=(~?)(.*)$', unit.read_text(), re.MULTILINE):
        for group in groups.split():
            allowed = allowed - calls_of(group) if forbids else allowed | calls_of(group)
    assert len(allowed) > 200, len(allowed)
    return allowed


def traced(trace: Path) -> tuple[str, ...]:
    return ('strace', '--follow-forks', '--quiet=all', f'--output={trace}')


def is_allowed(trace: Path, unit: Path):
    text = trace.read_text()
    made = set(re.findall(r'^\d+ +(\w+)\(', text, re.MULTILINE))
    assert 'fdatasync' in made or 'fsync' in made, made
    # The first is how it is started, before any filter holds.
    assert made - allowed_by(unit) <= {'execve'}, f'{unit.name} forbids {made - allowed_by(unit)}'
    executable = re.findall(r'mmap\([^)]*PROT_WRITE\|PROT_EXEC[^)]*|mprotect\([^)]*PROT_WRITE[^)]*PROT_EXEC[^)]*', text)
    assert not executable, f'MemoryDenyWriteExecute forbids {executable[0]}'


def the_program_does_nothing_that_the_units_forbid():
    with tempfile.TemporaryDirectory() as folder:
        trace, of_backup = Path(folder) / 'calls', Path(folder) / 'calls-of-backup'
        with Gateway(before=traced(trace)) as gateway:
            store = gateway.ask('POST', '/v2/key-value-stores?name=pantry')['data']['id']
            for size in (10, 100_000):
                path = f'/v2/key-value-stores/{store}/records/of-{size}'
                gateway.ask('PUT', path, b'a' * size, parses=False)
                assert len(gateway.ask('GET', path, parses=False)) == size
            [command] = settings(BACKUP, 'ExecStart')
            command = command.replace('/usr/local/bin/larder', PROGRAM).replace('/var/lib/larder-backups', f'{folder}/backups')
            data = {'LARDER_DATA': f'{gateway.folder.name}/data'}
            said = run('env', '--unset=LARDER_PROGRAM', *traced(of_backup), *command.split(), environment=data)
            assert 'all of it was read back and verified' in said, said
            for size in (10, 100_000):
                gateway.ask('DELETE', f'/v2/key-value-stores/{store}/records/of-{size}', parses=False)
        is_allowed(trace, UNIT)
        is_allowed(of_backup, BACKUP)
        sockets = re.findall(r'^.*\bsocket\(.*$', of_backup.read_text(), re.MULTILINE)
        assert not sockets, f'{BACKUP.name} allows no {sockets[0]}'


def nginx_understands_the_balancer():
    text = (DEPLOY / 'compose' / 'balancer.conf').read_text()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / 'balancer.conf'
        # Names that only compose knows, and the folder for temporary files.
        place.write_text(re.sub(r'larder-\d:', '127.0.0.1:', text).replace('/tmp/', f'{folder}/'))
        run('nginx', '-t', '-c', place)


CHECKS = [
    systemd_understands_the_units,
    the_units_leave_little_that_can_be_attacked,
    a_backup_is_taken_by_the_user_who_serves_into_a_folder_of_its_own,
    the_program_does_nothing_that_the_units_forbid,
    nginx_understands_the_balancer,
]
