"""docker-compose.yml, deploy/compose/object-stores.yml and the Dockerfile."""

import json
import re
from functools import cache

from .tools import DEPLOY, ROOT, beside_python, fails, run, seconds

# The services of each profile, and the service by which Larder is reached.
PROFILES = {
    None: ({'larder'}, 'larder'),
    'seaweedfs': ({'larder-seaweedfs', 'seaweedfs'}, 'larder-seaweedfs'),
    'garage': ({'larder-garage', 'garage'}, 'larder-garage'),
    'minio': ({'larder-minio', 'minio'}, 'larder-minio'),
    'cluster': ({'larder-1', 'larder-2', 'balancer', 'seaweedfs'}, 'balancer'),
}

# Arguments of the program for a backup.
BACKUP = ['backup', '--into', '/backups', '--keep', '7']

# The longest shutdown of a gateway: its drain time for requests in flight, and some time to close.
LONGEST_END = 25 + 5


OBJECT_STORES = DEPLOY / 'compose' / 'object-stores.yml'

# Variables that the profiles with an object store require.
REQUIRED = {'LARDER_TOKEN': 'a' * 48, 'LARDER_SECRET': 'b' * 48, 'S3_SECRET_KEY': 'c' * 64}


@cache
def configured(profile: str | None, port: str = '') -> dict:
    chosen = ['--file', OBJECT_STORES, '--profile', profile] if profile else ['--file', ROOT / 'docker-compose.yml']
    compose = beside_python('docker-compose')
    environment = {**REQUIRED, 'HTTP_PORT': port}
    return json.loads(run(compose, *chosen, 'config', '--format', 'json', environment=environment))


def the_first_compose_reads_it_too():
    """Debian's is of the first generation: it shows all profiles at once, whatever is chosen."""
    shown = ''
    for file in (ROOT / 'docker-compose.yml', OBJECT_STORES):
        shown += run('/usr/bin/docker-compose', '--file', file, 'config', '--services', environment=REQUIRED) + '\n'
    assert set(shown.split()) == set().union({'backup'}, *(services for services, _ in PROFILES.values())), shown


def no_secret_has_a_default():
    """An operator has to give an object store a secret; nothing in the file can be taken for one."""
    compose = beside_python('docker-compose')
    for missing in REQUIRED:
        given = [f'{name}={value}' for name, value in REQUIRED.items() if name != missing]
        said = fails('env', '-u', missing, *given, compose, '--file', OBJECT_STORES, '--profile', 'seaweedfs', 'config')
        assert missing in said, said
    shown = json.dumps([configured(profile) for profile in PROFILES])
    for name, value in re.findall(r'"(\w*(?:TOKEN|SECRET|PASSWORD)\w*)": "([^"]+)"', shown):
        assert value in REQUIRED.values(), f'{name}: {value}'


def one_variable_moves_the_port_and_the_links():
    for profile, (_, reached) in PROFILES.items():
        services = configured(profile, '9000')['services']
        assert [port['published'] for port in services[reached]['ports']] == ['9000'], profile
        for name, service in services.items():
            settings = service.get('environment') or {}
            if not name.startswith('larder'):
                continue
            # Links begin with the public URL, else with what a trusted proxy says, else with the listening address.
            assert not settings['LARDER_PUBLIC_URL'], name
            if name == reached:
                assert settings['LARDER_LISTEN'] == '0.0.0.0:9000', name
                assert services[reached]['ports'][0]['target'] == 9000, name
            else:
                assert settings['LARDER_TRUSTED_PROXIES'], name


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
    assert gateways == 6, gateways


def a_backup_is_taken_of_the_volume_that_is_served_from_and_kept_on_another():
    compose = beside_python('docker-compose')
    found = json.loads(run(compose, '--file', ROOT / 'docker-compose.yml', '--profile', 'backup', 'config', '--format', 'json'))
    backup, gateway = found['services']['backup'], found['services']['larder']
    assert backup['image'] == gateway['image'] and backup['restart'] == 'no' and backup['network_mode'] == 'none', backup
    assert backup['read_only'] and backup['cap_drop'] == ['ALL'] and backup['security_opt'] == ['no-new-privileges:true'], backup
    mounted = {service: {volume['target']: volume['source'] for volume in found['volumes']}
               for service, found in (('backup', backup), ('gateway', gateway))}
    assert mounted['backup'] == {**mounted['gateway'], '/backups': 'larder-backups'}, mounted
    assert backup['command'] == BACKUP, backup['command']
    # A volume takes its owner from the image.
    assert 'COPY --from=build --chown=65532:65532 /out/backups /backups' in (DEPLOY / 'Dockerfile').read_text()


def the_dockerfile_has_nothing_to_complain_of():
    run(beside_python('hadolint'), '--failure-threshold', 'info', DEPLOY / 'Dockerfile')


def yaml_is_well_formed():
    rules = '{extends: default, rules: {line-length: {max: 160}, document-start: disable, braces: {max-spaces-inside: 1}, comments: disable}}'
    files = [ROOT / 'docker-compose.yml', OBJECT_STORES, DEPLOY / 'prometheus', DEPLOY / 'kubernetes', DEPLOY / 'helm/larder/values.yaml']
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
    no_secret_has_a_default,
    one_variable_moves_the_port_and_the_links,
    each_profile_starts_what_it_should_and_publishes_one_port,
    every_service_is_restarted_and_says_whether_it_is_well,
    every_gateway_is_without_privileges_and_has_time_to_end,
    a_backup_is_taken_of_the_volume_that_is_served_from_and_kept_on_another,
    the_dockerfile_has_nothing_to_complain_of,
    yaml_is_well_formed,
    what_the_build_needs_is_in_its_context,
]
