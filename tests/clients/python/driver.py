"""Drives a running Larder with the official Python client, as PyPI ships it, the blocking and the async one, and with the
SDK on it.

LARDER_URL and LARDER_TOKEN say where it runs. Every check runs with both clients; it makes its own stores and removes
them, so checks neither depend on each other nor leave anything behind. Prints `ok NAME` or `FAILED NAME` for each, and
at the end `N passed, M failed`.
"""

import asyncio
import os
import sys
import time
import traceback
import warnings

from apify_client import ApifyClient, ApifyClientAsync
from bench import Bench
from checks import faults, keys, records, sdk, stores

CHECKS = stores.CHECKS + records.CHECKS + keys.CHECKS + faults.CHECKS + sdk.CHECKS


def required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        sys.exit(f'{name} is not set: it says which Larder to drive (cargo xtask test clients sets it)')
    return value


async def drive(flavour: str, bench: Bench) -> tuple[int, int]:
    """Runs every check with one client; returns how many passed and failed."""
    passed = failed = 0
    for check in CHECKS:
        name = f'{flavour}: {check.__name__.replace("_", " ")}'
        started = time.monotonic()
        try:
            await check(bench)
            passed += 1
            print(f'ok {name} ({(time.monotonic() - started) * 1000:.0f} ms)', flush=True)
        except Exception:
            failed += 1
            print(f'FAILED {name}\n{traceback.format_exc()}', flush=True)
        finally:
            await bench.clear()
    return passed, failed


async def main() -> int:
    warnings.filterwarnings('ignore', 'Streaming a request body is experimental')
    url, token = required('LARDER_URL'), required('LARDER_TOKEN')
    passed = failed = 0
    for flavour, client in (('blocking', ApifyClient), ('async', ApifyClientAsync)):
        counts = await drive(flavour, Bench(client, url, token))
        passed, failed = passed + counts[0], failed + counts[1]
    print(f'{passed} passed, {failed} failed')
    return 0 if passed and not failed else 1


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
