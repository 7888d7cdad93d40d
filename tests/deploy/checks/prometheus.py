"""Alerts and dashboard, held against the figures of a running gateway."""

import json
import re
import tempfile
from functools import cache
from pathlib import Path

import yaml

from .gateway import Gateway
from .tools import DEPLOY, ROOT, certificate, run

ALERTS = DEPLOY / 'prometheus' / 'alerts.yml'
DASHBOARD = DEPLOY / 'grafana' / 'dashboard.json'
TESTS = ROOT / 'tests' / 'deploy' / 'alerts.yml'

# Metrics that Prometheus itself adds for every target.
OF_PROMETHEUS = {'up'}

# Words of its language that look like names of metrics.
WORDS = {
    'sum', 'by', 'rate', 'increase', 'and', 'on', 'unless', 'or', 'count', 'histogram_quantile', 'absent', 'changes',
    'max', 'present_over_time', 'predict_linear', 'time',
}

# Labels that Prometheus adds to whatever it asks.
ADDED_LABELS = {'job', 'instance', 'le'}


@cache
def scrape() -> str:
    """Returns the metrics of a gateway after some use of it."""
    with tempfile.TemporaryDirectory() as folder:
        # Some metrics are about HTTPS.
        both = str(certificate(Path(folder), '127.0.0.1'))
        with Gateway(environment={'LARDER_TLS_CERT': both, 'LARDER_TLS_KEY': both}) as gateway:
            store = gateway.ask('POST', '/v2/key-value-stores?name=pantry')['data']['id']
            gateway.ask('PUT', f'/v2/key-value-stores/{store}/records/salt', b'a pinch')
            gateway.ask('GET', f'/v2/key-value-stores/{store}/records/salt', parses=False)
            return gateway.ask('GET', '/metrics', parses=False).decode()


def known() -> dict[str, set[str]]:
    """Names of metrics, and which labels they have."""
    names = {name: set() for name in OF_PROMETHEUS}
    for line in scrape().splitlines():
        if not line.startswith('#'):
            name, labels = re.fullmatch(r'([a-z_0-9]+)(?:\{(.*)\})? \S+', line).groups()
            names.setdefault(name, set()).update(re.findall(r'(\w+)="', labels or ''))
    return names


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())['groups'] for rule in group['rules']]


def expressions() -> list[tuple[str, str]]:
    """Every expression of alerts and dashboard, by where it stands."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = [(rule['alert'], rule['expr']) for rule in rules()]
    found += [(panel['title'], target['expr']) for panel in dashboard['panels'] for target in panel.get('targets', [])]
    found += [(note['name'], note['expr']) for note in dashboard['annotations']['list']]
    found += [(one['name'], one['query']['query']) for one in dashboard['templating']['list'] if one['type'] == 'query']
    assert len(found) > 40, len(found)
    return found


def uses(expression: str) -> list[tuple[str, set[str]]]:
    """The metrics of an expression, and the labels that it chooses them by."""
    found = []
    # Removes all that is no metric: the dashboard's queries for label values, lists of labels, times.
    expression = re.sub(r'label_values\((.*), \w+\)', r'\1', expression)
    expression = re.sub(r'\b(by|on) ?\([^()]*\)|\[[^\]]*\]', '', expression)
    for name, labels in re.findall(r'([a-zA-Z_]\w*)(?:\{([^}]*)\})?', expression):
        if name not in WORDS:
            found.append((name, set(re.findall(r'(\w+)(?:=|!=|=~|!~)"', labels))))
    return found


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression groups and matches by."""
    lists = re.findall(r'\b(?:by|on) ?\(([^()]*)\)', expression)
    return {label.strip() for labels in lists for label in labels.split(',')}


def promtool_takes_the_figures_of_a_gateway():
    said = run('promtool', 'check', 'metrics', text=scrape())
    assert not said.strip(), said


def promtool_takes_the_alerts():
    run('promtool', 'check', 'rules', ALERTS)


def promtool_takes_every_expression_of_the_dashboard():
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target['expr'] for panel in dashboard['panels'] for target in panel.get('targets', [])]
    queries += [note['expr'] for note in dashboard['annotations']['list']]
    as_rules = [
        {'record': f'panel:{number}', 'expr': query.replace('$__rate_interval', '5m')} for number, query in enumerate(queries)
    ]
    text = yaml.safe_dump({'groups': [{'name': 'panels', 'rules': as_rules}]})
    run('promtool', 'check', 'rules', '/dev/stdin', text=text)


def every_alert_fires_when_it_has_to_and_not_else():
    run('promtool', 'test', 'rules', TESTS)
    tested = yaml.safe_load(TESTS.read_text())['tests']
    fired = {case['alertname'] for test in tested for case in test['alert_rule_test'] if case.get('exp_alerts')}
    silent = {case['alertname'] for test in tested for case in test['alert_rule_test'] if not case.get('exp_alerts')}
    names = {rule['alert'] for rule in rules()}
    assert names == fired == silent, f'{names - fired} never fire, {names - silent} are never silent, in {TESTS}'


def every_metric_of_alerts_and_dashboard_is_there_with_its_labels():
    metrics = known()
    for place, expression in expressions():
        used = uses(expression)
        assert used, f'{place}: no metric was found in {expression}'
        for name, labels in used:
            assert name in metrics, f'{place}: there is no metric {name}'
            missing = labels - metrics[name] - ADDED_LABELS
            assert not missing, f'{place}: {name} has no label {missing}'
        missing = grouped_by(expression) - ADDED_LABELS - set().union(*(metrics[name] for name, _ in used))
        assert not missing, f'{place}: nothing has a label {missing} to group by'


def every_alert_has_its_place_in_operations():
    text = (ROOT / 'docs' / 'OPERATIONS.md').read_text()
    headings = set(re.findall(r'^### (\w+)$', text, re.MULTILINE))
    alerts = {rule['alert'] for rule in rules()}
    assert alerts <= headings, f'docs/OPERATIONS.md says nothing of {alerts - headings}'
    assert {heading for heading in headings if heading.startswith('Larder')} == alerts, headings - alerts
    for rule in rules():
        # Absolute: it is followed from a page of Alertmanager's, or from a message.
        runbook = f'https://larder.example/docs/OPERATIONS.md#{rule["alert"].lower()}'
        assert rule['annotations']['runbook_url'] == runbook, rule['alert']
        assert rule['annotations']['summary'] and rule['labels']['severity'] in ('critical', 'warning'), rule['alert']


def what_reads_metrics_notices_a_name_that_is_none():
    """This file's own reading of expressions."""
    assert uses('sum by (le) (rate(larder_a{b="c", job=~"$job"}[5m])) / up > 1') == [('larder_a', {'b', 'job'}), ('up', set())]
    assert uses('x and on (job, instance) y') == [('x', set()), ('y', set())]
    assert grouped_by('sum by (le, a) (x) / on(b) y') == {'le', 'a', 'b'}


CHECKS = [
    what_reads_metrics_notices_a_name_that_is_none,
    promtool_takes_the_figures_of_a_gateway,
    promtool_takes_the_alerts,
    promtool_takes_every_expression_of_the_dashboard,
    every_alert_fires_when_it_has_to_and_not_else,
    every_metric_of_alerts_and_dashboard_is_there_with_its_labels,
    every_alert_has_its_place_in_operations,
]
