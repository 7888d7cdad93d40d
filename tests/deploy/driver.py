"""Checks the files that deploy Larder (`deploy`, `docker-compose.yml`) with the tools that read them, and the program as they start it.

LARDER_PROGRAM is the program; `cargo xtask test deploy` builds it and sets this. An argument chooses checks with that word in their
names. Prints `ok NAME` or `FAILED NAME` for each, and at the end `N passed, M failed`.
"""

import os
import sys
import time
import traceback

from checks import compose, image, kubernetes, prometheus, proxies, unit

CHECKS = compose.CHECKS + kubernetes.CHECKS + prometheus.CHECKS + unit.CHECKS + image.CHECKS + proxies.CHECKS


def main() -> int:
    if not os.environ.get('LARDER_PROGRAM'):
        sys.exit('LARDER_PROGRAM is not set: it says which program to start (cargo xtask test deploy sets it)')
    word = sys.argv[1] if len(sys.argv) > 1 else ''
    passed = failed = 0
    for check in CHECKS:
        name = check.__name__.replace('_', ' ')
        if word not in name:
            continue
        started = time.monotonic()
        try:
            check()
            passed += 1
            print(f'ok {name} ({(time.monotonic() - started) * 1000:.0f} ms)', flush=True)
        except Exception:
            failed += 1
            print(f'FAILED {name}\n{traceback.format_exc()}', flush=True)
    print(f'{passed} passed, {failed} failed')
    return 0 if passed and not failed else 1


if __name__ == '__main__':
    sys.exit(main())
