"""Environment of a check: a client of either kind, and stores that are removed when the check is over.

A check is written once, as a coroutine. `done` awaits what the async client returns and hands on what the blocking
client returned; `collect` and `opened` do the same for iterators and context managers.
"""

import asyncio
import inspect
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from apify_client.errors import ApifyApiError

CONCURRENCY = 16
"""Maximum number of concurrent requests of a bulk step."""


async def done(value: Any) -> Any:
    """The result of a call to either client."""
    return await value if inspect.isawaitable(value) else value


async def in_parallel(calls: Iterable[Callable[[], Any]]) -> list:
    """The results of many calls to either client, a few under way at a time."""
    turn = asyncio.Semaphore(CONCURRENCY)

    async def one(call: Callable[[], Any]) -> Any:
        async with turn:
            return await done(await asyncio.to_thread(call))

    return await asyncio.gather(*(one(call) for call in calls))


async def collect(iterable: Any) -> list:
    """Everything that either client's iterator yields."""
    if hasattr(iterable, '__aiter__'):
        return [item async for item in iterable]
    return list(iterable)


@asynccontextmanager
async def opened(manager: Any) -> Any:
    """Enters either client's context manager."""
    if hasattr(manager, '__aenter__'):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


async def refused(call: Any, status: int, kind: str) -> None:
    """Asserts that `call`, a function without arguments, raises the API's error of this status and type."""
    try:
        await done(call())
    except ApifyApiError as error:
        assert (error.status_code, error.type) == (status, kind), (error.status_code, error.type, error.message)
        assert error.message, 'an error says what is wrong'
    else:
        raise AssertionError(f'expected {status} {kind}, but the call succeeded')


async def opened_by_anybody(url: str) -> tuple[int, bytes]:
    """Returns the status and body of a link, requested without a token."""

    def ask() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return await asyncio.to_thread(ask)


def one_bit_away(url: str) -> str:
    """A link whose signature differs in one bit of one character, and is made of letters and digits all the same."""
    start, signature = url.split('signature=')
    at = next(at for at, character in enumerate(signature) if chr(ord(character) ^ 1).isalnum())
    return f'{start}signature={signature[:at]}{chr(ord(signature[at]) ^ 1)}{signature[at + 1:]}'


class Bench:
    """One client and the stores made with it."""

    def __init__(self, kind: type, url: str, token: str) -> None:
        self.url = url
        self._kind = kind
        self._made: set[str] = set()
        self.client = self.connect(token)

    def connect(self, token: str | None, **options: Any) -> Any:
        """A client of this kind. It never retries: that would hide an answer that fails the first time."""
        return self._kind(token=token, api_url=self.url, api_public_url=self.url, max_retries=0, **options)

    def name(self, hint: str) -> str:
        """Returns an unused store name."""
        return f'py-{hint}-{secrets.token_hex(6)}'

    async def open(self, name: str | None = None, schema: dict | None = None) -> Any:
        """Opens a store (a new unnamed one without a name); it is removed after the check. Returns its description."""
        store = await done(self.client.key_value_stores().get_or_create(name=name, schema=schema))
        self._made.add(store.id)
        return store

    async def open_many(self, count: int) -> set[str]:
        """Opens new unnamed stores; they are removed after the check. Returns their ids."""
        made = await in_parallel([self.client.key_value_stores().get_or_create] * count)
        ids = {store.id for store in made}
        self._made |= ids
        return ids

    async def store(self) -> Any:
        """The client of a new unnamed store."""
        return self.at((await self.open()).id)

    def at(self, address: str) -> Any:
        """The client of the store at this id or `user/name`."""
        return self.client.key_value_store(address)

    async def clear(self) -> None:
        await in_parallel([self.at(store_id).delete for store_id in self._made])
        self._made.clear()
