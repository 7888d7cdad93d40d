"""The official SDK against this server. It reads its settings from the environment once, so that an actor is
a process of its own.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

from bench import Bench, one_bit_away, opened_by_anybody

PATIENCE = 60
"""Timeout for an actor, in seconds."""

ACTOR = Path(__file__).parent.parent / 'actor.py'

KEYS = ['OUTPUT', "a!-_.'()Z9"]


def at_home(bench: Bench, default_store: str) -> dict[str, str]:
    """The environment of an actor that runs against the server and needs nothing of it but key-value stores."""
    return {
        **os.environ,
        'APIFY_IS_AT_HOME': '1',
        'APIFY_TOKEN': bench.client.token,
        'APIFY_API_BASE_URL': bench.url,
        'APIFY_API_PUBLIC_BASE_URL': bench.url,
        'ACTOR_DEFAULT_KEY_VALUE_STORE_ID': default_store,
        'APIFY_ACTOR_PRICING_INFO': '{"pricingModel":"FREE"}',
        'APIFY_CHARGED_ACTOR_EVENT_COUNTS': '{"none":0}',
    }


async def a_public_link_of_the_sdk_opens_the_record_without_a_token_and_nothing_one_bit_away(bench: Bench) -> None:
    unnamed, named = await bench.open(), await bench.open(bench.name('sdk'))
    actor = await asyncio.create_subprocess_exec(
        sys.executable,
        ACTOR,
        named.name,
        *KEYS,
        env=at_home(bench, unnamed.id),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, complaints = await asyncio.wait_for(actor.communicate(), PATIENCE)
    except TimeoutError:
        actor.kill()
        raise
    assert actor.returncode == 0, complaints.decode()
    links = json.loads(printed.splitlines()[-1])
    made = [(link['id'], link['key']) for link in links]
    assert made == [(store.id, key) for store in (unnamed, named) for key in KEYS], made
    for link in links:
        path, _, signature = link['url'].partition('?signature=')
        assert path == f'{bench.url}/v2/key-value-stores/{link["id"]}/records/{quote(link["key"], safe="")}', path
        assert signature, 'the link is signed'
        assert await opened_by_anybody(link['url']) == (200, f'value of {link["key"]}'.encode())
        assert (await opened_by_anybody(one_bit_away(link['url'])))[0] == 403
        assert (await opened_by_anybody(path))[0] in {401, 403, 404}, 'it is the signature that opens it'


CHECKS = [a_public_link_of_the_sdk_opens_the_record_without_a_token_and_nothing_one_bit_away]
