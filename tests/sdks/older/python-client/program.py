"""The Python client as it was used before its answers became objects."""

import os
import sys

from apify_client import ApifyClient

JPEG = bytes([0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 0x4A, 0x46, 0x49, 0x46, 0, 200, 255, 0xD9])

name = sys.argv[1]
client = ApifyClient(os.environ["TOKEN"], api_url=os.environ["BASE_URL"])
made = client.key_value_stores().get_or_create(name=name)
store = client.key_value_store(made["id"])
store.set_record("recipe", {"flour": 500})
store.set_record("note", "a pinch of salt")
store.set_record("picture", JPEG, content_type="image/jpeg")
store.set_record("gone", 1)
store.delete_record("gone")
assert store.get_record("recipe")["value"] == {"flour": 500}
assert store.get_record_as_bytes("picture")["value"] == JPEG
with store.stream_record("picture") as streamed:
    assert streamed["value"].read() == JPEG
assert store.get_record("gone") is None
assert not store.record_exists("gone") and store.record_exists("note")
assert [item["key"] for item in store.list_keys()["items"]] == ["note", "picture", "recipe"]
assert any(item["id"] == made["id"] for item in client.key_value_stores().list(limit=1000).items)
assert store.get()["name"] == name
assert store.update(name=f"{name}-2")["id"] == made["id"]
other = client.key_value_stores().get_or_create(name=f"{name}-other")
client.key_value_store(other["id"]).delete()
print(made["id"])
