"""An actor as it was written for the Python SDK from its first version on."""

import asyncio
import sys

from apify import Actor

JPEG = bytes([0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 0x4A, 0x46, 0x49, 0x46, 0, 200, 255, 0xD9])


async def main(part: str, name: str) -> None:
    async with Actor:
        assert await Actor.get_input() == {"flour": 500}
        store = await Actor.open_key_value_store(name=name)
        if part == "again":
            assert await store.get_value("k") == {"salt": 1}
            await store.set_value("k", {"salt": 2})
            return
        assert await Actor.get_value("absent") is None
        await Actor.set_value("OUTPUT", JPEG, content_type="image/jpeg")
        assert await Actor.get_value("OUTPUT") == JPEG
        await store.set_value("k", {"salt": 1})
        await store.set_value("text", "a pinch of salt")
        assert await store.get_value("text") == "a pinch of salt"
        keys = [entry[0] if isinstance(entry, tuple) else entry.key async for entry in store.iterate_keys()]
        assert keys == ["k", "text"], keys


asyncio.run(main(*sys.argv[1:]))
