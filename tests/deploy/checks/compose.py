"""docker-compose.yml and the Dockerfile."""

import json
import re
from functools import cache

from .tools import DEPLOY, ROOT, beside_python, run, seconds

# What each profile starts, and by which service Larder is reached.
PROFILES = {
    None: ({'larder'}, 'larder'),
    'folder': ({'larder'}, 'larder'),
    'seaweedfs': ({'larder-seaweedfs', 'seaweedfs'}, 'larder-seaweedfs'),
    'garage': ({'larder-garage', 'garage'}, 'larder-garage'),
    'minio': ({'larder-minio', 'minio'}, 'larder-minio'),
    'cluster': ({'larder-1', 'larder-2', 'balancer', 'seaweedfs'}, 'balancer'),
}

# The longest end of a gateway: what it gives requests in flight, and some time to close.
LONGEST_END = 25 + 5


@cache
def configured(profile: str | None) -> dict:
    chosen = ['--profile', profile] if profile else []
    compose = beside_python('docker-compose')
    return json.loads(run(compose, '--project-directory', ROOT, *chosen, 'config', '--format', 'json'))


def the_first_compose_reads_it_too():
    """Debian's is of the first generation: it shows all profiles at once, whatever is chosen."""
    shown = run('/usr/bin/docker-compose', '--file', ROOT / 'docker-compose.yml', 'config', '--services')
    assert set(shown.split()) == set().union(*(services for services, _ in PROFILES.values())), shown


def each_profile_starts_what_it_should_and_publishes_one_port():
    for profile, (services, reached) in PROFILES.items():
        found = configured(profile)['services']
        assert set(found) == services, f'{profile}: {sorted(found)}'
        published = {name: service.get('ports') for name, service in found.items() if service.get('ports')}
        assert set(published) == {reached}, f'{profile}: {published}'
        for port in published[reached]:
            assert port['host_ip'] == '127.0.0.1' and port['target'] == 8011, f'{profile}: {port}'


def every_service_is_restarted_and_says_whether_it_is_well():
    for profile in PROFILES:
        for name, service in configured(profile)['services'].items():
            assert service['restart'] == 'unless-stopped', name
            assert service['healthcheck']['test'], name
            for other, wanted in service.get('depends_on', {}).items():
                assert wanted['condition'] == 'service_healthy', f'{name}: {other}'


def every_gateway_is_without_privileges_and_has_time_to_end():
    gateways = 0
    for profile in PROFILES:
        for name, service in configured(profile)['services'].items():
            if not name.startswith('larder'):
                continue
            gateways += 1
            assert service['read_only'] and service['cap_drop'] == ['ALL'], name
            assert service['security_opt'] == ['no-new-privileges:true'], name
            assert seconds(service['stop_grace_period']) > LONGEST_END, name
    assert gateways == 7, gateways


def the_dockerfile_has_nothing_to_complain_of():
    run(beside_python('hadolint'), '--failure-threshold', 'info', DEPLOY / 'Dockerfile')


def yaml_is_well_formed():
    rules = '{extends: default, rules: {line-length: {max: 160}, document-start: disable, braces: {max-spaces-inside: 1}, comments: disable}}'
    files = [ROOT / 'docker-compose.yml', DEPLOY / 'prometheus', DEPLOY / 'kubernetes', DEPLOY / 'helm/larder/values.yaml']
    run(beside_python('yamllint'), '--strict', '--config-data', rules, *files)


def what_the_build_needs_is_in_its_context():
    """Files that the program has in it must not be kept from the build."""
    ignored = [line for line in (ROOT / '.dockerignore').read_text().splitlines() if line and not line.startswith('#')]
    assert '.git' in ignored and '**/target' in ignored and '**/.env' in ignored, ignored
    included = re.compile(r'include_(?:str|bytes)!\(\s*"([^"]+)"')
    seen = 0
    for source in [*(ROOT / 'src').rglob('*.rs'), *(ROOT / 'xtask').rglob('*.rs')]:
        for path in included.findall(source.read_text()):
            path = (source.parent / path).resolve().relative_to(ROOT)
            assert path.suffix != '.md' and path.parts[0] not in ignored, f'{source}: {path} is not in the context'
            seen += 1
    assert (ROOT / 'console').is_dir() and 'console' not in ignored, seen


CHECKS = [
    the_first_compose_reads_it_too,
    each_profile_starts_what_it_should_and_publishes_one_port,
    every_service_is_restarted_and_says_whether_it_is_well,
    every_gateway_is_without_privileges_and_has_time_to_end,
    the_dockerfile_has_nothing_to_complain_of,
    yaml_is_well_formed,
    what_the_build_needs_is_in_its_context,
]
