"""An actor that does with key-value stores whatever the SDK can do.

What it finds is checked here; what it calls, by the driver.
"""

import asyncio
import os
import sys

from apify import Actor

JPEG = bytes([0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 0x4A, 0x46, 0x49, 0x46, 0, 200, 255, 0xD9])


async def everything(name: str) -> None:
    assert await Actor.get_input() == {"flour": 500}
    assert await Actor.get_value("absent") is None
    await Actor.set_value("OUTPUT", JPEG, content_type="image/jpeg")
    assert await Actor.get_value("OUTPUT") == JPEG
    state = await Actor.use_state({"baked": 0}, key="STATE")
    state["baked"] += 1

    cache = await Actor.open_key_value_store(name=name)
    cache_id = (await cache.get_metadata()).id
    again = await Actor.open_key_value_store(id=cache_id)
    assert (await again.get_metadata()).id == cache_id
    await cache.set_value("k", "str")
    assert await cache.get_value("k") == "str"
    assert await cache.record_exists("k")
    assert not await cache.record_exists("absent")
    await cache.set_value("nothing", None)
    assert await cache.get_value("nothing") is None
    assert await cache.record_exists("nothing")
    await cache.set_value("gone", 1)
    await cache.delete_value("gone")
    for at in range(5):
        await cache.set_value(f"many-{at}", {"at": at})
    keys = [item.key async for item in cache.iterate_keys() if item.key.startswith("many-")]
    assert keys == [f"many-{at}" for at in range(5)], keys

    dropped = await Actor.open_key_value_store(name=f"{name}-dropped")
    await dropped.set_value("k", 1)
    await dropped.drop()
    print(cache_id)


async def alias(name: str) -> None:
    shelf = await Actor.open_key_value_store(alias=name)
    count = await shelf.get_value("count", 0) + 1
    await shelf.set_value("count", count)
    print((await shelf.get_metadata()).id, count)


async def link(name: str) -> None:
    cache = await Actor.open_key_value_store(name=name)
    await cache.set_value("k", {"salt": 1})
    print(await cache.get_public_url("k"))


async def write(_: str) -> None:
    await Actor.set_value("patient", {"waited": True})
    assert await Actor.get_value("patient") == {"waited": True}


async def become(_: str) -> None:
    given = await Actor.get_input()
    if given["flour"] == 500:
        await Actor.set_status_message("rising")
        await Actor.metamorph(os.environ["ACTOR_ID"], {"flour": 1, "was": given["flour"]})
    await Actor.set_value("OUTPUT", {"was": given["was"], "is": given["flour"]})
    await Actor.fail(exit_code=7, status_message="burnt")


async def push(_: str) -> None:
    await Actor.push_data([{"page": 1}])


async def main() -> None:
    what, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    async with Actor:
        await globals()[what](name)


asyncio.run(main())
