"""Invalid requests: each is rejected with a clear response, and nothing is stored."""

from collections.abc import Iterator

from bench import Bench, done, refused


async def keys_with_signs_that_are_not_allowed_are_refused(bench: Bench) -> None:
    store = await bench.store()
    for key in ('a/b', 'a b', '100%', 'é', 'a?b', 'a:b', 'a*b', 'a@b', 'a~b', 'a+b', 'a#b'):
        await refused(lambda key=key: store.set_record(key, 1), 400, 'invalid-record-key')
        await refused(lambda key=key: store.delete_record(key), 400, 'invalid-record-key')
    assert (await done(store.list_keys())).count == 0


async def a_name_that_is_not_allowed_is_refused(bench: Bench) -> None:
    for name in ('my_store', '-a', 'a-', 'a b', 'a' * 64):
        await refused(lambda name=name: bench.open(name), 400, 'invalid-value')


async def a_wrong_token_is_refused_and_so_is_none(bench: Bench) -> None:
    wrong, none = (bench.connect(token).key_value_stores() for token in ('wrong', None))
    await refused(wrong.list, 401, 'user-or-token-not-found')
    await refused(none.list, 401, 'token-not-provided')
    await refused(lambda: none.get_or_create(name='x'), 401, 'token-not-provided')


async def an_unknown_encoding_is_refused(bench: Bench) -> None:
    store = await bench.store()
    await refused(
        lambda: store.set_record('k', b'x', content_encoding='bla'), 415, 'unsupported-content-encoding'
    )
    assert await done(store.get_record('k')) is None


async def a_failed_write_leaves_the_old_value(bench: Bench) -> None:
    store = await bench.store()
    await done(store.set_record('k', 'old'))

    def broken() -> Iterator[bytes]:
        yield b'half of the new value'
        raise RuntimeError('the source broke')

    try:
        await done(store.set_record('k', broken()))
    except Exception:  # noqa: BLE001: how the client reports its own source's failure is its own affair
        assert (await done(store.get_record('k')))['value'] == 'old'
    else:
        raise AssertionError('a broken source was taken for a whole value')


CHECKS = [
    keys_with_signs_that_are_not_allowed_are_refused,
    a_name_that_is_not_allowed_is_refused,
    a_wrong_token_is_refused_and_so_is_none,
    an_unknown_encoding_is_refused,
    a_failed_write_leaves_the_old_value,
]
