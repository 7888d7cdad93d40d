"""A crawl that can be killed at any moment and started again, on this machine or another one.

The key-value store is Larder's, with a record for each page and the state of the crawl; the request queue and the dataset
are in the memory of this process, and nothing is lost with them: what is still to be fetched is in the state.

    python crawl.py https://example.com/ [name of the store]
"""

import asyncio
import os
import re
import sys
from datetime import timedelta
from urllib.parse import urljoin, urlsplit

from apify import Configuration
from apify.storage_clients import ApifyStorageClient
from apify_client import ApifyClientAsync
from crawlee import ConcurrencySettings, Request, service_locator
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext
from crawlee.storage_clients import MemoryStorageClient
from crawlee.storages import KeyValueStore


class LarderStorageClient(ApifyStorageClient):
    """Key-value stores are Larder's, all else is kept in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._memory = MemoryStorageClient()

    async def create_dataset_client(self, **options):
        return await self._memory.create_dataset_client(**options)

    async def create_rq_client(self, **options):
        return await self._memory.create_rq_client(**options)


def key_of(url: str) -> str:
    """A key for a page: keys have fewer characters than URLs."""
    return "page-" + re.sub(r"[^a-zA-Z0-9!\-_.'()]", "_", urlsplit(url).path)


async def main(start: str, name: str) -> None:
    larder, token = os.environ.get("LARDER_URL", "http://127.0.0.1:8011"), os.environ["LARDER_TOKEN"]
    # A store with a name is kept until it is deleted. It is also the default store, which opens by no name: Crawlee's
    # own records are in it, too.
    client = ApifyClientAsync(token, api_url=larder, api_public_url=larder)
    store = await client.key_value_stores().get_or_create(name=name)
    service_locator.set_configuration(
        Configuration(
            token=token,
            # Both addresses: links are made with the public one.
            api_base_url=larder,
            api_public_base_url=larder,
            default_key_value_store_id=store.id,
            # Maximum work that a kill can cost.
            persist_state_interval=timedelta(
                milliseconds=int(os.environ.get("CRAWLEE_PERSIST_STATE_INTERVAL_MILLIS", "5000"))
            ),
        )
    )
    service_locator.set_storage_client(LarderStorageClient())

    pages = await KeyValueStore.open()
    # Crawlee saves this object now and then, and when the crawl ends.
    state = await pages.get_auto_saved_value("CRAWL", {"waiting": [start], "done": []})
    origin, known = urljoin(start, "/"), {*state["waiting"], *state["done"]}
    print(f"{len(state['done'])} pages are done, {len(state['waiting'])} are known and wait.")

    crawler = ParselCrawler(concurrency_settings=ConcurrencySettings(desired_concurrency=8, max_concurrency=8))

    @crawler.router.default_handler
    async def handle(context: ParselCrawlingContext) -> None:
        url = context.request.url
        body = await context.http_response.read()
        await pages.set_value(key_of(url), body, content_type=context.http_response.headers["content-type"])
        links = (urljoin(url, link) for link in context.selector.css("a::attr(href)").getall())
        fresh = [link for link in dict.fromkeys(links) if link.startswith(origin) and link not in known]
        known.update(fresh)
        # The page is written: only now it counts as done, with all that it leads to. There is no await between these
        # lines, so that no state is saved which has one without the other.
        state["waiting"] = [waiting for waiting in state["waiting"] if waiting != url] + fresh
        state["done"].append(url)
        await crawler.add_requests([Request.from_url(link) for link in fresh])

    await crawler.run([*state["waiting"]])
    await pages.persist_autosaved_values()
    print(f"All {len(state['done'])} pages are done.")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python crawl.py URL [NAME]")
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "example-crawl"))
