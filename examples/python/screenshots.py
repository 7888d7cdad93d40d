"""Stores screenshots and prints a link to each: the link shows the picture without a token.

    python screenshots.py picture.png [another.png ...]
"""

import mimetypes
import os
import sys
from pathlib import Path

from apify_client import ApifyClient

url = os.environ.get("LARDER_URL", "http://127.0.0.1:8011")
# Both addresses: links are made with the public one.
larder = ApifyClient(os.environ["LARDER_TOKEN"], api_url=url, api_public_url=url)
store = larder.key_value_store(larder.key_value_stores().get_or_create(name="example-screenshots").id)
for file in map(Path, sys.argv[1:]):
    content_type = mimetypes.guess_type(file)[0] or "application/octet-stream"
    # From a browser, `await page.screenshot()` gives these bytes.
    store.set_record(file.name, file.read_bytes(), content_type=content_type)
    print(store.get_record_public_url(file.name))
