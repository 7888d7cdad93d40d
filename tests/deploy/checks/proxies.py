"""The recipes of docs/PROXIES.md: each proxy before a gateway, whose answers through it are those without it."""

import gzip
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .gateway import TOKEN, UNVERIFIED, Gateway
from .tools import ROOT, certificate

PAGE = (ROOT / 'docs' / 'PROXIES.md').read_text()

HOST = 'larder.example'

WAIT_TIMEOUT_SECS = 30

# More than every proxy takes by default, and than connections hold.
LARGE = 60_000_000
BLOCK = os.urandom(1_000_000)

AUTHORIZED = {'Authorization': f'Bearer {TOKEN}'}

# Fields by which clients decide; others (dates, names of requests) differ from call to call.
COMPARED = ('ETag', 'Content-Length', 'Content-Range', 'Content-Type', 'Content-Encoding', 'Accept-Ranges', 'Location')


def recipe(language: str) -> str:
    [text] = re.findall(rf'^```{language}\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    return text


def replaced(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, f'{old} is in the recipe {text.count(old)} times'
        text = text.replace(old, new)
    return text


def without(language: str, setting: str) -> str:
    """A recipe without the line of a setting."""
    text = recipe(language)
    [line] = [line for line in text.splitlines(keepends=True) if setting in line and '#' not in line]
    return replaced(text, (line, ''))


class Connection(http.client.HTTPConnection):
    """A connection that speaks to `HOST` by TLS, wherever that is."""

    def __init__(self, port: int, encrypts: bool):
        super().__init__('127.0.0.1', port, timeout=WAIT_TIMEOUT_SECS)
        self.encrypts = encrypts

    def connect(self):
        super().connect()
        if self.encrypts:
            self.sock = UNVERIFIED.wrap_socket(self.sock, server_hostname=HOST)


class Client:
    """Asks a gateway, through a proxy or without one."""

    def __init__(self, port: int, encrypts: bool):
        self.port, self.encrypts = port, encrypts
        self.host = f'{HOST}:{port}'

    def begin(self, method: str, path: str, headers: dict[str, str]) -> Connection:
        """Sends the head of a request."""
        connection = Connection(self.port, self.encrypts)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in ({'Host': self.host} | AUTHORIZED | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection

    def ask(self, method: str, path: str, body: bytes = b'', **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        named = {name.replace('_', '-'): value for name, value in headers.items()}
        if method in ('PUT', 'POST'):
            named = {'Content-Type': 'application/json', 'Content-Length': str(len(body))} | named
        connection = self.begin(method, path, named)
        connection.send(body)
        with connection.getresponse() as answer:
            return answer.status, answer.headers, answer.read()

    def data(self, method: str, path: str, **headers: str) -> dict:
        status, _, body = self.ask(method, path, **headers)
        assert status in (200, 201), (status, body)
        return json.loads(body)['data']


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


@contextmanager
def started(folder: Path, port: int, *command: str | Path) -> Iterator[Client]:
    """A proxy that listens, and is gone afterwards."""
    with open(folder / 'log', 'w+') as log:
        own = {**os.environ, 'HOME': str(folder), 'XDG_DATA_HOME': str(folder), 'XDG_CONFIG_HOME': str(folder)}
        process = subprocess.Popen([str(word) for word in command], env=own, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + WAIT_TIMEOUT_SECS
            while True:
                assert process.poll() is None and time.monotonic() < deadline, (folder / 'log').read_text()
                try:
                    socket.create_connection(('127.0.0.1', port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.02)
            yield Client(port, encrypts=True)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def nginx(text: str, gateway: str) -> Iterator[Client]:
    with tempfile.TemporaryDirectory(prefix='larder-nginx-') as name:
        folder, port = Path(name), free_port()
        both = certificate(folder, HOST)
        server = replaced(
            text,
            ('127.0.0.1:8011', gateway),
            ('listen 443 ssl', f'listen 127.0.0.1:{port} ssl'),
            ('/etc/ssl/larder/certificate.pem', str(both)),
            ('/etc/ssl/larder/key.pem', str(both)),
        )
        places = ' '.join(f'{kind}_temp_path {folder}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        user = 'user root; ' if os.geteuid() == 0 else ''
        # Compression is on for everything, as elsewhere on a server with other sites.
        (folder / 'nginx.conf').write_text(
            f'{user}daemon off; pid {folder}/pid; error_log stderr; events {{}}\n'
            f'http {{ access_log off; gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1; {places}\n{server}}}\n'
        )
        with started(folder, port, 'nginx', '-e', 'stderr', '-c', folder / 'nginx.conf') as client:
            yield client


@contextmanager
def haproxy(text: str, gateway: str) -> Iterator[Client]:
    with tempfile.TemporaryDirectory(prefix='larder-haproxy-') as name:
        folder, port = Path(name), free_port()
        configuration = replaced(
            text,
            ('127.0.0.1:8011', gateway),
            ('bind :443', f'bind 127.0.0.1:{port}'),
            ('/etc/haproxy/larder.pem', str(certificate(folder, HOST))),
        )
        (folder / 'haproxy.cfg').write_text(configuration)
        with started(folder, port, 'haproxy', '-db', '-f', folder / 'haproxy.cfg') as client:
            yield client


@contextmanager
def caddy(text: str, gateway: str) -> Iterator[Client]:
    with tempfile.TemporaryDirectory(prefix='larder-caddy-') as name:
        folder, port = Path(name), free_port()
        both = certificate(folder, HOST)
        site = replaced(text, ('127.0.0.1:8011', gateway), (f'{HOST} {{', f'{HOST}:{port} {{\n\ttls {both} {both}'))
        (folder / 'Caddyfile').write_text('{\n\tadmin off\n\tauto_https disable_redirects\n}\n' + site)
        with started(folder, port, 'caddy', 'run', '--adapter', 'caddyfile', '--config', folder / 'Caddyfile') as client:
            yield client


Proxy = Callable[[str, str], Iterator[Client]]

PROXIES: dict[str, Proxy] = {'nginx': nginx, 'haproxy': haproxy, 'caddy': caddy}


@contextmanager
def behind(name: str, text: str, **settings: str) -> Iterator[tuple[Client, Client]]:
    """A client of a gateway through a proxy with this configuration, and one without."""
    with Gateway(environment={'LARDER_TRUSTED_PROXIES': '127.0.0.1', **settings}) as gateway:
        address = gateway.url.removeprefix('http://')
        with PROXIES[name](text, address) as client:
            yield client, Client(int(address.rpartition(':')[2]), encrypts=False)


def records(client: Client, store: str = 'pantry') -> str:
    identifier = client.data('POST', f'/v2/key-value-stores?name={store}')['id']
    return f'/v2/key-value-stores/{identifier}/records'


def large_records_go_up_and_down(client: Client, _: Client):
    path = f'{records(client)}/large'
    connection = client.begin('PUT', path, {'Content-Type': 'application/octet-stream', 'Content-Length': str(LARGE)})
    sent, received = hashlib.sha256(), hashlib.sha256()
    for _ in range(LARGE // len(BLOCK)):
        connection.send(BLOCK)
        sent.update(BLOCK)
    with connection.getresponse() as answer:
        assert answer.status == 201, (answer.status, answer.read())
    connection = client.begin('GET', path, {})
    with connection.getresponse() as answer:
        assert int(answer.headers['Content-Length']) == LARGE
        while block := answer.read(len(BLOCK)):
            received.update(block)
    assert received.digest() == sent.digest()


def answers_are_the_same(client: Client, direct: Client):
    """Compares status, fields and body of requests through the proxy with those without it."""
    path = records(client)
    text = b'{"salt": "and pepper"}' * 2000
    _, written, _ = client.ask('PUT', f'{path}/plain', text)
    tag = written['ETag']
    assert tag.startswith('"'), tag
    client.ask('PUT', f'{path}/packed', gzip.compress(text), Content_Encoding='gzip')
    key = "a!-_.'()b"
    client.ask('PUT', f'{path}/{key}', b'1')
    differing = []
    for method, name, headers in [
        ('GET', 'plain', {}),
        ('GET', 'plain', {'Accept_Encoding': 'gzip, br'}),
        ('HEAD', 'plain', {'Accept_Encoding': 'gzip'}),
        ('GET', 'packed', {}),
        ('GET', 'packed', {'Accept_Encoding': 'gzip'}),
        ('HEAD', 'packed', {}),
        ('GET', key, {}),
        ('GET', 'missing', {'Accept_Encoding': 'gzip'}),
        ('GET', 'plain', {'Range': 'bytes=10-29'}),
        ('GET', 'plain', {'Range': 'bytes=10-29', 'Accept_Encoding': 'gzip'}),
        ('GET', 'plain', {'Range': 'bytes=-5'}),
        ('GET', 'plain', {'Range': 'bytes=10-29', 'If_Range': tag}),
        ('GET', 'plain', {'Range': 'bytes=10-29', 'If_Range': '"another"'}),
        ('GET', 'plain', {'Range': 'bytes=999999-'}),
        ('GET', 'plain', {'If_None_Match': tag}),
        ('GET', 'plain', {'If_Match': '"another"'}),
        ('PUT', 'plain', {'If_None_Match': '*'}),
        ('PUT', 'plain', {'If_Match': '"another"'}),
        ('DELETE', 'plain', {'If_Match': '"another"'}),
    ]:
        shown = []
        for asked in (client, direct):
            status, fields, body = asked.ask(method, f'{path}/{name}', **headers)
            shown.append((status, {field: fields[field] for field in COMPARED}, body))
        if shown[0] != shown[1]:
            differing.append(f'{method} {name} {headers}: {shown[0][:2]} instead of {shown[1][:2]}')
    assert not differing, '\n'.join(differing)
    # The ETag of a response as a client gets it is valid for a conditional write.
    _, fields, _ = client.ask('GET', f'{path}/plain', Accept_Encoding='gzip')
    status, _, body = client.ask('PUT', f'{path}/plain', b'2', If_Match=fields['ETag'])
    assert status == 201, (status, body)


def links_have_the_origin_of_the_proxy(client: Client, _: Client):
    link = client.data('POST', '/v2/key-value-stores?name=pantry', X_Forwarded_Host='evil.example', X_Forwarded_Proto='http')['keysPublicUrl']
    assert link.startswith(f'https://{client.host}/v2/'), link


def calls_that_wait_are_answered_late(client: Client, _: Client):
    began = time.monotonic()
    client.data('POST', '/v2/acts/cook/runs?waitForFinish=1')
    assert time.monotonic() - began >= 1


def begin_refused(client: Client) -> Connection:
    """Sends the beginning of an upload that Larder refuses by its head."""
    connection = client.begin('PUT', f'{records(client)}/refused', {'Authorization': 'Bearer wrong', 'Content-Length': str(LARGE)})
    connection.send(BLOCK[:50_000])
    return connection


def refusals_arrive_before_the_body_was_sent(client: Client, _: Client):
    connection = begin_refused(client)
    sent = 0
    while True:
        connection.sock.settimeout(1)
        try:
            with connection.getresponse() as answer:
                assert answer.status == 401, answer.status
                return
        except TimeoutError:
            # Caddy shows an answer over HTTP/1.1 when more of the body arrives.
            assert sent < LARGE / 2, 'no answer'
        connection.sock.settimeout(WAIT_TIMEOUT_SECS)
        connection.send(BLOCK)
        sent += len(BLOCK)


def slow_clients_are_served(client: Client, _: Client):
    path = f'{records(client)}/slow'
    blocks = [BLOCK[:300_000]] * 8
    connection = client.begin('PUT', path, {'Content-Type': 'application/octet-stream', 'Content-Length': str(sum(map(len, blocks)))})
    for block in blocks:
        connection.send(block)
        time.sleep(0.1)
    with connection.getresponse() as answer:
        assert answer.status == 201, answer.status
    with client.begin('GET', path, {}).getresponse() as answer:
        for block in blocks:
            assert answer.read(len(block)) == block
            time.sleep(0.1)
        assert not answer.read()


BEHAVIOURS = [
    large_records_go_up_and_down,
    answers_are_the_same,
    links_have_the_origin_of_the_proxy,
    calls_that_wait_are_answered_late,
    refusals_arrive_before_the_body_was_sent,
    slow_clients_are_served,
]


def held_by(name: str):
    with behind(name, recipe(name)) as clients:
        for behaviour in BEHAVIOURS:
            behaviour(*clients)


def behind_the_recipe_for_nginx_answers_are_those_of_larder():
    held_by('nginx')


def behind_the_recipe_for_haproxy_answers_are_those_of_larder():
    held_by('haproxy')


def behind_the_recipe_for_caddy_answers_are_those_of_larder():
    held_by('caddy')


def is_served_below_a_path(name: str, text: str, *elsewhere: int):
    """Uses a gateway below `/larder`, whose proxy answers all other paths with one of these statuses."""
    with behind(name, text, LARDER_PUBLIC_URL=f'https://{HOST}/larder') as (client, _):
        store = client.data('POST', '/larder/v2/key-value-stores?name=pantry')
        assert store['keysPublicUrl'].startswith(f'https://{HOST}/larder/v2/'), store
        path = f"/larder/v2/key-value-stores/{store['id']}/records/a!-_.'()b"
        assert client.ask('PUT', path, b'1')[0] == 201
        status, _, body = client.ask('GET', path)
        assert (status, body) == (200, b'1'), (status, body)
        assert client.ask('GET', '/larder/console/')[0] == 200
        status, fields, _ = client.ask('GET', '/v2/key-value-stores')
        assert status in elsewhere and fields['Content-Type'] != 'application/json', (status, fields)


def below_a_path_links_and_records_are_as_the_page_says():
    is_served_below_a_path('nginx', replaced(recipe('nginx'), ('location / {', 'location /larder/ {')), 404)
    is_served_below_a_path(
        'haproxy', replaced(recipe('haproxy'), ('default_backend larder', 'use_backend larder if { path_beg /larder/ }')), 503
    )
    inside = replaced(recipe('caddy'), ('\treverse_proxy', '\thandle /larder/* {\n\treverse_proxy'))
    # Caddy answers a path that nothing handles with an empty 200.
    is_served_below_a_path('caddy', inside + '}\n', 200)


def has_no_strong_tag(client: Client, direct: Client):
    """Reads a record as a client that takes gzip, and writes it again on condition of the ETag that came with it."""
    path = f'{records(client)}/plain'
    direct.ask('PUT', path, b'{"salt": "and pepper"}' * 2000)
    _, fields, _ = client.ask('GET', path, Accept_Encoding='gzip')
    assert fields['Content-Encoding'] == 'gzip', fields
    assert fields['ETag'].startswith('W/"'), fields['ETag']
    assert client.ask('PUT', path, b'2', If_Match=fields['ETag'])[0] == 412


def the_defaults_of_nginx_fail_as_documented():
    with behind('nginx', without('nginx', 'client_max_body_size')) as (client, _):
        connection = client.begin('PUT', f'{records(client)}/large', {'Content-Length': str(LARGE)})
        with connection.getresponse() as answer:
            assert answer.status == 413 and answer.headers['Content-Type'] == 'text/html', answer.status
    with behind('nginx', without('nginx', 'gzip off')) as clients:
        has_no_strong_tag(*clients)
    with behind('nginx', without('nginx', 'proxy_request_buffering')) as (client, _):
        connection = begin_refused(client)
        connection.sock.settimeout(1)
        try:
            raise AssertionError(f'it was answered {connection.getresponse().status}')
        except TimeoutError:
            pass
    with behind('nginx', without('nginx', 'X-Forwarded-Host')) as (client, _):
        link = client.data('POST', '/v2/key-value-stores?name=pantry', X_Forwarded_Host='evil.example')['keysPublicUrl']
        assert link.startswith('https://evil.example/'), link


def the_defaults_of_haproxy_fail_as_documented():
    compressing = replaced(recipe('haproxy'), ('    option httpchk', '    compression algo gzip\n    option httpchk'))
    with behind('haproxy', compressing) as clients:
        has_no_strong_tag(*clients)


def the_defaults_of_caddy_fail_as_documented():
    with behind('caddy', without('caddy', 'compression off')) as (client, direct):
        path = f'{records(client)}/packed'
        text = b'{"salt": "and pepper"}' * 2000
        direct.ask('PUT', path, gzip.compress(text), Content_Encoding='gzip')
        _, fields, body = client.ask('GET', path)
        assert body == text and 'Content-Length' not in fields, fields


CHECKS = [
    behind_the_recipe_for_nginx_answers_are_those_of_larder,
    behind_the_recipe_for_haproxy_answers_are_those_of_larder,
    behind_the_recipe_for_caddy_answers_are_those_of_larder,
    below_a_path_links_and_records_are_as_the_page_says,
    the_defaults_of_nginx_fail_as_documented,
    the_defaults_of_haproxy_fail_as_documented,
    the_defaults_of_caddy_fail_as_documented,
]
