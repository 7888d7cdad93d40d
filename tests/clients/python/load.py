"""Constant load on a running Larder by the official Python client, its retries off, until the input ends.

LARDER_URL and LARDER_TOKEN say where it runs. Prints `N calls, M lost` at the end, each loss before that with its error.
"""

import datetime
import os
import sys
import threading

from apify_client import ApifyClient

WORKERS = 4
"""Loops at once."""

over = threading.Event()
counts = {'calls': 0, 'lost': 0}
turn = threading.Lock()


def counted(what, call):
    """Returns the result of the call, or `None` if it was lost."""
    with turn:
        counts['calls'] += 1
    try:
        return call()
    except Exception as error:
        lose(f'{what}: {error}')
        return None


def lose(what: str) -> None:
    """Counts a loss."""
    with turn:
        counts['lost'] += 1
    print(f'LOST {what} at {datetime.datetime.now(datetime.UTC).isoformat()}', flush=True)


def work(worker: int, store) -> None:
    """Writes, reads and lists, over and over."""
    rounds = 0
    while not over.is_set():
        rounds += 1
        key, value = f'{worker}-{rounds % 20}', f'{worker} {rounds} ' + 'x' * 500
        written = counted('set', lambda: store.set_record(key, value, content_type='text/plain') or True)
        read = counted('get', lambda: store.get_record(key))
        if written and read and read['value'] != value:
            lose(f'what was set: {key}')
        counted('list', lambda: store.list_keys(limit=5))


def main() -> int:
    client = ApifyClient(token=os.environ['LARDER_TOKEN'], api_url=os.environ['LARDER_URL'], max_retries=0)
    made = client.key_value_stores().get_or_create()
    store = client.key_value_store(made['id'] if isinstance(made, dict) else made.id)
    workers = [threading.Thread(target=work, args=(number, store)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    over.set()
    for worker in workers:
        worker.join()
    store.delete()
    print(f'{counts["calls"]} calls, {counts["lost"]} lost', flush=True)
    return 0 if counts['calls'] and not counts['lost'] else 1


if __name__ == '__main__':
    sys.exit(main())
