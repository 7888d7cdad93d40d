"""Listing keys: order, pages, prefixes, collections, iteration."""

import json
from datetime import timedelta
from functools import partial
from typing import Any

from bench import Bench, collect, done, in_parallel, one_bit_away, opened_by_anybody, refused

MANY = 1001
"""One more than fits in a page."""


async def filled(bench: Bench, keys: list[str], schema: dict | None = None) -> Any:
    store = bench.at((await bench.open(None, schema)).id)
    await in_parallel([partial(store.set_record, key, key) for key in keys])
    return store


def names(page: Any) -> list[str]:
    return [item.key for item in page.items]


async def an_empty_store_lists_nothing_and_says_so_in_full(bench: Bench) -> None:
    page = await done((await bench.store()).list_keys())
    assert (page.items, page.count, page.limit, page.is_truncated) == ([], 0, 1000, False)
    assert (page.exclusive_start_key, page.next_exclusive_start_key) == (None, None)


async def keys_come_in_the_order_of_their_bytes_with_size_and_link(bench: Bench) -> None:
    store = await filled(bench, ['B', 'a', '_x', '1', '!'])
    page = await done(store.list_keys())
    assert names(page) == ['!', '1', 'B', '_x', 'a']
    assert [item.size for item in page.items] == [1, 1, 1, 2, 1]
    assert all('/records/' in item.record_public_url.path for item in page.items)


async def pages_follow_each_other(bench: Bench) -> None:
    store = await filled(bench, ['a', 'b', 'c'])
    first = await done(store.list_keys(limit=2))
    assert names(first) == ['a', 'b']
    assert (first.count, first.limit, first.is_truncated, first.next_exclusive_start_key) == (2, 2, True, 'b')
    second = await done(store.list_keys(limit=2, exclusive_start_key='b'))
    assert (names(second), second.exclusive_start_key, second.next_exclusive_start_key) == (['c'], 'b', None)
    assert names(await done(store.list_keys(exclusive_start_key='aa'))) == ['b', 'c']
    assert not (await done(store.list_keys(limit=3))).is_truncated


async def wrong_limits_are_lowered_or_refused(bench: Bench) -> None:
    store = await bench.store()
    assert (await done(store.list_keys(limit=0))).limit == 1000
    assert (await done(store.list_keys(limit=5000))).limit == 1000
    await refused(lambda: store.list_keys(limit=-1), 400, 'invalid-parameter')


async def prefix_start_key_collection_limit_and_signature_narrow_together(bench: Bench) -> None:
    collections = {
        'imgs': {'title': 'Images', 'keyPrefix': 'img-'},
        'report': {'title': 'Report', 'key': 'REPORT'},
    }
    schema = {'actorKeyValueStoreSchemaVersion': 1, 'title': 'Images', 'collections': collections}
    store = await filled(bench, ['a', 'img-1', 'img-2', 'img-3', 'imh', 'REPORT', 'REPORT-2'], schema)
    page = await done(
        store.list_keys(limit=2, exclusive_start_key='a', collection='imgs', prefix='img-', signature='x')
    )
    assert (names(page), page.is_truncated) == (['img-1', 'img-2'], True)
    assert names(await done(store.list_keys(prefix='im'))) == ['img-1', 'img-2', 'img-3', 'imh']
    assert names(await done(store.list_keys(collection='report'))) == ['REPORT']
    assert [item.key for item in await collect(store.iterate_keys(collection='imgs', chunk_size=2))] == [
        'img-1',
        'img-2',
        'img-3',
    ]
    await refused(lambda: store.list_keys(collection='other'), 400, 'invalid-collection')


async def iteration_pages_by_chunks_and_stops_at_its_limit(bench: Bench) -> None:
    store = await filled(bench, ['a1', 'a2', 'a3', 'a4', 'b1'])

    async def iterated(**options: object) -> list[str]:
        return [item.key for item in await collect(store.iterate_keys(**options))]

    assert await iterated(limit=3, chunk_size=2) == ['a1', 'a2', 'a3']
    assert await iterated(prefix='a', chunk_size=1) == ['a1', 'a2', 'a3', 'a4']
    assert await iterated(exclusive_start_key='a3') == ['a4', 'b1']


async def iterating_over_more_than_a_thousand_keys_yields_each_once_in_order(bench: Bench) -> None:
    expected = [f'key-{i:04}' for i in range(MANY)]
    store = await filled(bench, expected)
    assert [item.key for item in await collect(store.iterate_keys())] == expected
    assert [item.key for item in await collect(store.iterate_keys(chunk_size=100))] == expected


async def a_public_keys_url_lists_without_a_token_and_nothing_one_bit_away(bench: Bench) -> None:
    made = await bench.open()
    url = await done(bench.at(made.id).create_keys_public_url(limit=10, prefix='img-', expires_in=timedelta(minutes=1)))
    assert url.startswith(f'{bench.url}/v2/key-value-stores/{made.id}/keys?'), url
    assert all(part in url for part in ('limit=10', 'prefix=img-', 'signature=')), url
    for key in ('img-1', 'text'):
        await done(bench.at(made.id).set_record(key, key))
    status, body = await opened_by_anybody(url)
    assert status == 200 and [item['key'] for item in json.loads(body)['data']['items']] == ['img-1'], (status, body)
    assert (await opened_by_anybody(one_bit_away(url)))[0] == 403


CHECKS = [
    an_empty_store_lists_nothing_and_says_so_in_full,
    keys_come_in_the_order_of_their_bytes_with_size_and_link,
    pages_follow_each_other,
    wrong_limits_are_lowered_or_refused,
    prefix_start_key_collection_limit_and_signature_narrow_together,
    iteration_pages_by_chunks_and_stops_at_its_limit,
    iterating_over_more_than_a_thousand_keys_yields_each_once_in_order,
    a_public_keys_url_lists_without_a_token_and_nothing_one_bit_away,
]
