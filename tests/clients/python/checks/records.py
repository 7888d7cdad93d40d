"""Records: every kind of value the client can write, read back in every way it can read."""

import gzip
import io
import secrets
import urllib.request
import zipfile
from typing import Any

from stream_unzip import stream_unzip

from bench import Bench, done, one_bit_away, opened, opened_by_anybody, refused

JSON_TYPE = 'application/json; charset=utf-8'
TEXT_TYPE = 'text/plain; charset=utf-8'
BINARY_TYPE = 'application/octet-stream'


async def stored_size(store: Any, key: str) -> int:
    """Stored bytes of a record: what the client sent, compressed or not."""
    page = await done(store.list_keys(prefix=key, limit=1))
    assert page.items[0].key == key
    return page.items[0].size


async def read_back(store: Any, key: str, value: Any, content_type: str) -> None:
    """Asserts that the record holds this value, of this type and no other."""
    record = await done(store.get_record(key))
    assert record == {'key': key, 'value': value, 'content_type': content_type}
    assert type(record['value']) is type(value)


async def json_values_come_back_as_they_were(bench: Bench) -> None:
    store = await bench.store()
    for value in ({'a': [1, 'ž', None]}, [], None, 42, True, -0.5):
        await done(store.set_record('json', value))
        await read_back(store, 'json', value, JSON_TYPE)


async def text_comes_back_as_text_with_its_type(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('text', 'hello příště'))
    await read_back(store, 'text', 'hello příště', TEXT_TYPE)
    await done(store.set_record('page.html', '<p>hi</p>', content_type='text/html'))
    await read_back(store, 'page.html', '<p>hi</p>', 'text/html')
    content_type = 'text/csv; charset=utf-8; header=present'
    await done(store.set_record('typed', 'x', content_type=content_type))
    await read_back(store, 'typed', 'x', content_type)


async def empty_values_exist_with_their_type(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('empty', ''))
    await done(store.set_record('ebuf', b''))
    await read_back(store, 'empty', '', TEXT_TYPE)
    await read_back(store, 'ebuf', b'', BINARY_TYPE)
    assert await done(store.record_exists('empty'))
    assert await stored_size(store, 'empty') == 0


async def bytes_come_back_as_bytes(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('buf', b'\x00\xff\n'))
    await read_back(store, 'buf', b'\x00\xff\n', BINARY_TYPE)
    await done(store.set_record('json', {'a': 1}))
    record = await done(store.get_record_as_bytes('json'))
    assert record == {'key': 'json', 'value': b'{"a": 1}', 'content_type': JSON_TYPE}


async def a_stream_of_unknown_length_is_stored_whole(bench: Bench) -> None:
    store = await bench.store()
    text = b'0123456789' * 20_000
    await done(store.set_record('stream', io.BytesIO(text), content_type='text/plain'))
    await read_back(store, 'stream', text.decode(), 'text/plain')
    chunks = [secrets.token_bytes(33_333) for _ in range(64)]
    await done(store.set_record('stream2', iter(chunks)))
    await read_back(store, 'stream2', b''.join(chunks), BINARY_TYPE)


async def a_2_mb_random_image_is_byte_identical_in_every_way_to_read_it(bench: Bench) -> None:
    store, value = await bench.store(), secrets.token_bytes(2_000_000)
    await done(store.set_record('img-big', value, content_type='image/jpeg'))
    assert await stored_size(store, 'img-big') == len(value), 'this client sends images as they are'
    await read_back(store, 'img-big', value, 'image/jpeg')
    assert (await done(store.get_record_as_bytes('img-big')))['value'] == value
    async with opened(store.stream_record('img-big')) as record:
        assert record['content_type'] == 'image/jpeg'
        response = record['value']
        if hasattr(store.stream_record('img-big'), '__aenter__'):
            received = b''.join([chunk async for chunk in response.aiter_bytes()])
        else:
            received = b''.join(response.iter_bytes())
        assert received == value


async def random_bytes_sent_compressed_are_byte_identical(bench: Bench) -> None:
    store, value = await bench.store(), secrets.token_bytes(2_000_000)
    await done(store.set_record('bin-big', value))
    await read_back(store, 'bin-big', value, BINARY_TYPE)


async def a_large_json_value_is_stored_compressed_and_comes_back_whole(bench: Bench) -> None:
    store = await bench.store()
    value = [{'i': i, 'text': 'the same again and again'} for i in range(30_000)]
    await done(store.set_record('bigjson', value))
    await read_back(store, 'bigjson', value, JSON_TYPE)
    assert await stored_size(store, 'bigjson') < 500_000


async def text_is_sent_compressed_from_1024_bytes_on_and_plain_below(bench: Bench) -> None:
    store = await bench.store()
    for length in (1023, 1024):
        await done(store.set_record(f't{length}', 'x' * length))
        await read_back(store, f't{length}', 'x' * length, TEXT_TYPE)
    assert await stored_size(store, 't1023') == 1023
    assert await stored_size(store, 't1024') < 1024


async def a_value_compressed_by_the_caller_is_read_decoded(bench: Bench) -> None:
    store, packed = await bench.store(), gzip.compress(b'packed by hand ' * 100)
    await done(store.set_record('pregz', packed, content_type='text/plain', content_encoding='gzip'))
    assert await stored_size(store, 'pregz') == len(packed)
    await read_back(store, 'pregz', 'packed by hand ' * 100, 'text/plain')


async def brotli_is_read_decoded(bench: Bench) -> None:
    store = await bench.store()
    token = bench.client.token
    writer = bench.connect(token, compression='brotli').key_value_store((await done(store.get())).id)
    value = {'text': 'the same again and again ' * 4000}
    await done(writer.set_record('br', value))
    assert await stored_size(store, 'br') < 10_000
    await read_back(store, 'br', value, JSON_TYPE)


async def overwriting_replaces_value_type_and_encoding(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('k', 'y' * 5000))
    await done(store.set_record('k', {'small': 1}))
    await read_back(store, 'k', {'small': 1}, JSON_TYPE)
    await done(store.set_record('k', 'z' * 5000))
    await read_back(store, 'k', 'z' * 5000, TEXT_TYPE)
    assert (await done(store.list_keys())).count == 1


async def every_allowed_sign_of_a_key_reaches_the_same_record(bench: Bench) -> None:
    store, key = await bench.store(), "a!-_.'()Z9"
    await done(store.set_record(key, 1))
    await read_back(store, key, 1, JSON_TYPE)
    assert [item.key for item in (await done(store.list_keys())).items] == [key]
    assert await done(store.record_exists(key))
    await done(store.delete_record(key))
    assert await done(store.get_record(key)) is None


async def a_key_may_be_256_signs_long_and_not_more(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('k' * 256, 1))
    await read_back(store, 'k' * 256, 1, JSON_TYPE)
    await refused(lambda: store.set_record('k' * 257, 1), 400, 'invalid-record-key')


async def an_absent_record_is_none_and_does_not_exist(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('there', 1))
    assert await done(store.get_record('nope')) is None
    assert await done(store.get_record_as_bytes('nope')) is None
    async with opened(store.stream_record('nope')) as record:
        assert record is None
    assert await done(store.record_exists('there')) is True
    assert await done(store.record_exists('nope')) is False


async def the_owner_may_send_any_signature(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('json', {'ok': True}))
    assert (await done(store.get_record('json', signature='x')))['value'] == {'ok': True}


async def deleting_a_record_twice_is_well(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('json', 1))
    await done(store.delete_record('json'))
    assert await done(store.get_record('json')) is None
    await done(store.delete_record('json'))
    await done(store.delete_record('never-was'))


async def a_public_record_url_opens_the_record_without_a_token_and_nothing_one_bit_away(bench: Bench) -> None:
    made = await bench.open()
    store = bench.at(made.id)
    plain = await done(store.get_record_public_url('OUTPUT'))
    assert plain.startswith(f'{bench.url}/v2/key-value-stores/{made.id}/records/OUTPUT?signature='), plain
    escaped = await done(store.get_record_public_url("a!-_.'()Z9"))
    assert f'/v2/key-value-stores/{made.id}/records/a%21-_.%27%28%29Z9?signature=' in escaped, escaped
    for key, url in [('OUTPUT', plain), ("a!-_.'()Z9", escaped)]:
        await done(store.set_record(key, f'value of {key}'))
        assert await opened_by_anybody(url) == (200, f'value of {key}'.encode())
        assert (await opened_by_anybody(one_bit_away(url)))[0] == 403


async def the_archive_of_a_store_holds_every_record_decoded(bench: Bench) -> None:
    """No method of the client asks for it, so the request is made by hand."""
    store = await bench.store()
    values = {'a': b'plain', "b'(c)!.json": b'{"long": "' + b'x' * 5000 + b'"}', 'empty': b''}
    for key, value in values.items():
        await done(store.set_record(key, value, content_type='text/plain'))
    request = urllib.request.Request(
        f'{bench.url}/v2/key-value-stores/{(await done(store.get())).id}/records',
        headers={'Authorization': f'Bearer {bench.client.token}'},
    )
    # Not through a proxy: the server is where the client found it.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        assert answer.headers['Content-Type'] == 'application/zip'
        archive = answer.read()
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.testzip() is None
        assert {name: file.read(name) for name in file.namelist()} == values
    # Readers of streams have no directory, and find the ends of entries by themselves.
    streamed = stream_unzip([archive[at : at + 100] for at in range(0, len(archive), 100)], allow_zip64=False)
    assert {name.decode(): b''.join(chunks) for name, _, chunks in streamed} == values


CHECKS = [
    json_values_come_back_as_they_were,
    text_comes_back_as_text_with_its_type,
    empty_values_exist_with_their_type,
    bytes_come_back_as_bytes,
    a_stream_of_unknown_length_is_stored_whole,
    a_2_mb_random_image_is_byte_identical_in_every_way_to_read_it,
    random_bytes_sent_compressed_are_byte_identical,
    a_large_json_value_is_stored_compressed_and_comes_back_whole,
    text_is_sent_compressed_from_1024_bytes_on_and_plain_below,
    a_value_compressed_by_the_caller_is_read_decoded,
    brotli_is_read_decoded,
    overwriting_replaces_value_type_and_encoding,
    every_allowed_sign_of_a_key_reaches_the_same_record,
    a_key_may_be_256_signs_long_and_not_more,
    an_absent_record_is_none_and_does_not_exist,
    the_owner_may_send_any_signature,
    deleting_a_record_twice_is_well,
    a_public_record_url_opens_the_record_without_a_token_and_nothing_one_bit_away,
    the_archive_of_a_store_holds_every_record_decoded,
]
