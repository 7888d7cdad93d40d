"""An actor as one writes it for the platform: it reads INPUT and writes OUTPUT.

Nothing in here knows of Larder; the environment says where the stores are (examples/README.md).
"""

import asyncio
from collections import Counter

from apify import Actor


async def main() -> None:
    async with Actor:
        words = (await Actor.get_input() or {}).get("words", [])
        await Actor.set_value("OUTPUT", {"words": len(words), "counts": Counter(words)})
        Actor.log.info("%d words were counted.", len(words))


asyncio.run(main())
