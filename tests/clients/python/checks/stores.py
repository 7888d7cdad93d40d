"""Stores: create, open, find, list, rename, remove."""

import re

from bench import Bench, collect, done, refused

SCHEMA = {
    'actorKeyValueStoreSchemaVersion': 1,
    'title': 'Images',
    'collections': {'imgs': {'title': 'Images', 'keyPrefix': 'img-', 'contentTypes': ['image/jpeg']}},
}
ABSENT = 'Abcdefghjkmnpqrst'
MANY = 1001
"""One more than fits in a page."""


async def an_unnamed_store_is_new_each_time(bench: Bench) -> None:
    one, two = await bench.open(), await bench.open()
    assert re.fullmatch('[a-zA-Z0-9]{17}', one.id)
    assert one.id != two.id
    assert one.name is None


async def a_store_description_passes_the_strict_models(bench: Bench) -> None:
    name = bench.name('typed')
    store = await bench.open(name)
    assert store.name == name
    assert store.user_id
    assert all(date.tzinfo for date in (store.created_at, store.modified_at, store.accessed_at))
    assert store.keys_public_url.path.endswith(f'/v2/key-value-stores/{store.id}/keys')
    assert store.records_public_url.path.endswith(f'/v2/key-value-stores/{store.id}/records')
    assert store.url_signing_secret_key
    assert store.general_access == 'FOLLOW_USER_SETTING'


async def a_name_opens_one_store_whatever_its_case(bench: Bench) -> None:
    name = bench.name('case')
    made = await bench.open(name)
    assert (await bench.open(name)).id == made.id
    again = await bench.open(name.upper())
    assert (again.id, again.name) == (made.id, name)


async def a_schema_given_at_creation_is_returned(bench: Bench) -> None:
    made = await bench.open(bench.name('schema'), SCHEMA)
    assert (await done(bench.at(made.id).get())).schema_ == SCHEMA


async def a_schema_large_enough_to_be_sent_compressed_is_returned(bench: Bench) -> None:
    schema = SCHEMA | {'description': 'long ' * 1000}
    assert (await bench.open(None, schema)).schema_ == schema


async def a_store_is_found_by_id_and_by_name(bench: Bench) -> None:
    username = (await done(bench.client.user().get())).username
    name = bench.name('found')
    made = await bench.open(name)
    for address in (made.id, f'{username}/{name}', f'{username}~{name}', f'~{name}'):
        assert (await done(bench.at(address).get())).id == made.id, address
    await done(bench.at(f'{username}/{name}').set_record('k', 'by name'))
    assert (await done(bench.at(made.id).get_record('k')))['value'] == 'by name'


async def an_absent_store_is_none_and_so_is_a_bare_name(bench: Bench) -> None:
    name = bench.name('bare')
    await bench.open(name)
    for address in (ABSENT, name, f'~{bench.name("absent")}'):
        assert await done(bench.at(address).get()) is None, address


async def update_changes_title_and_access_and_leaves_the_rest(bench: Bench) -> None:
    name = bench.name('update')
    made = await bench.open(name)
    store = bench.at(made.id)
    updated = await done(store.update(title='A title', general_access='RESTRICTED'))
    assert (updated.name, updated.general_access) == (name, 'RESTRICTED')
    assert updated.model_extra['title'] == 'A title'
    assert updated.modified_at >= made.modified_at
    unchanged = await done(store.update())
    assert (unchanged.name, unchanged.general_access) == (name, 'RESTRICTED')
    assert unchanged.model_extra['title'] == 'A title'


async def update_renames_and_an_absent_name_changes_nothing(bench: Bench) -> None:
    before, after = bench.name('before'), bench.name('after')
    made = await bench.open(before)
    store = bench.at(made.id)
    renamed = await done(store.update(name=after))
    assert (renamed.id, renamed.name) == (made.id, after)
    assert (await done(bench.at(f'~{after}').get())).id == made.id
    assert await done(bench.at(f'~{before}').get()) is None
    assert (await done(store.update(name=None))).name == after
    assert (await done(store.update(name=after))).name == after


async def a_title_long_enough_to_be_sent_compressed_arrives(bench: Bench) -> None:
    store, title = await bench.store(), ('dlouhý název ' * 75).strip()
    assert (await done(store.update(title=title))).model_extra['title'] == title


async def a_wrong_update_is_refused_and_changes_nothing(bench: Bench) -> None:
    name, taken = bench.name('right'), bench.name('taken')
    made = await bench.open(name)
    await bench.open(taken)
    store = bench.at(made.id)
    await refused(lambda: store.update(name='bad name'), 400, 'invalid-value')
    await refused(lambda: store.update(general_access='WRONG'), 400, 'invalid-value')
    await refused(lambda: store.update(name=taken), 409, 'name-not-unique')
    assert (await done(store.get())).name == name
    await refused(lambda: bench.at(ABSENT).update(title='x'), 404, 'record-not-found')


async def lists_are_paged_reversible_and_hold_unnamed_stores_on_request(bench: Bench) -> None:
    made = [(await bench.open(bench.name('list'))).id for _ in range(3)]
    unnamed = (await bench.open()).id

    async def listed(**options: object) -> object:
        return await done(bench.client.key_value_stores().list(**options))

    page = await listed(limit=2, offset=1, ownership='ownedByMe', unnamed=False, desc=False)
    assert (page.limit, page.offset, page.desc, page.count, len(page.items)) == (2, 1, False, 2, 2)
    newest = await listed(desc=True, limit=3)
    assert [store.id for store in newest.items] == made[::-1]
    assert newest.desc
    assert unnamed not in [store.id for store in (await listed(desc=True)).items]
    everything = await listed(unnamed=True, desc=True, limit=4, offset=0)
    assert [store.id for store in everything.items] == [unnamed, *made[::-1]]
    beyond = await listed(offset=999_999)
    assert (beyond.items, beyond.count, beyond.total) == ([], 0, page.total)
    await refused(lambda: bench.client.key_value_stores().list(ownership='x'), 400, 'param-not-one-of')
    await refused(lambda: bench.client.key_value_stores().list(limit=-1), 400, 'invalid-parameter')


async def iterating_over_more_than_a_thousand_stores_yields_each_once(bench: Bench) -> None:
    made = await bench.open_many(MANY)
    for options in ({}, {'chunk_size': 300, 'desc': True}):
        ids = [store.id for store in await collect(bench.client.key_value_stores().iterate(unnamed=True, **options))]
        assert len(set(ids)) == len(ids), 'a store came twice'
        assert made <= set(ids)
    assert len(await collect(bench.client.key_value_stores().iterate(unnamed=True, limit=5, chunk_size=2))) == 5


async def iterating_with_no_limit_ends(bench: Bench) -> None:
    made = (await bench.open(bench.name('iterate'))).id
    assert made in [store.id for store in await collect(bench.client.key_value_stores().iterate())]


async def a_removed_store_is_gone_at_once_and_removing_it_again_is_well(bench: Bench) -> None:
    name = bench.name('gone')
    made = await bench.open(name)
    store = bench.at(made.id)
    await done(store.set_record('k', 1))
    await done(store.delete())
    assert await done(store.get()) is None
    assert await done(store.get_record('k')) is None
    assert await done(store.record_exists('k')) is False
    await refused(store.list_keys, 404, 'record-not-found')
    await refused(lambda: store.set_record('k', 1), 404, 'record-not-found')
    await refused(lambda: store.delete_record('k'), 404, 'record-not-found')
    await done(store.delete())
    again = await bench.open(name)
    assert again.id != made.id
    assert await done(bench.at(again.id).get_record('k')) is None


CHECKS = [
    an_unnamed_store_is_new_each_time,
    a_store_description_passes_the_strict_models,
    a_name_opens_one_store_whatever_its_case,
    a_schema_given_at_creation_is_returned,
    a_schema_large_enough_to_be_sent_compressed_is_returned,
    a_store_is_found_by_id_and_by_name,
    an_absent_store_is_none_and_so_is_a_bare_name,
    update_changes_title_and_access_and_leaves_the_rest,
    update_renames_and_an_absent_name_changes_nothing,
    a_title_long_enough_to_be_sent_compressed_arrives,
    a_wrong_update_is_refused_and_changes_nothing,
    lists_are_paged_reversible_and_hold_unnamed_stores_on_request,
    iterating_over_more_than_a_thousand_stores_yields_each_once,
    iterating_with_no_limit_ends,
    a_removed_store_is_gone_at_once_and_removing_it_again_is_well,
]
