"""An actor as it runs on the platform: opens the store it was given and one by name, writes a record into each and prints
the public links to them, as JSON. The environment says where the API is (`checks/sdk.py` sets it).
"""

import asyncio
import json
import sys

from apify import Actor


async def main(name: str, keys: list[str]) -> None:
    links = []
    async with Actor(exit_process=False):
        for store in [await Actor.open_key_value_store(), await Actor.open_key_value_store(name=name)]:
            for key in keys:
                await store.set_value(key, f'value of {key}', content_type='text/plain')
                links.append({'id': store.id, 'key': key, 'url': await store.get_public_url(key)})
    print(json.dumps(links))


if __name__ == '__main__':
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
