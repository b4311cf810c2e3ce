"""The public suite of tests for HTTP caches, run against a generic route (RFC 9111).

Every required test must pass, but for those below; and those must fail, so that the list stays
true. Tests that the suite calls optimal or a mere check are counted, not judged.
"""

from collections import Counter

import pytest

from harness import cache_suite

pytestmark = pytest.mark.full

# Why it is right to fail -> the required tests that do.
EXCEPTIONS: dict[str, list[str]] = {}


@pytest.fixture
def origin(tmp_path):
    server = cache_suite.Origin(tmp_path).start()
    yield server
    server.stop()


def test_the_suite(start_daemon, origin, record_property):
    daemon = start_daemon(*cache_suite.routes(origin, auth="passthrough", ttl="1h"))
    told = cache_suite.results(f"http://127.0.0.1:{daemon.port}")
    count = Counter((test["kind"], cache_suite.passed(told, test_id))
                    for test_id, test in told.items())
    record_property("http-cache-tests", "http-cache-tests: " + ", ".join(
        f"{count[kind, True]} of {count[kind, True] + count[kind, False]} {kind}"
        for kind in ("required", "optimal", "check")))
    failed = {test_id for test_id, test in told.items()
              if test["kind"] == "required" and not cache_suite.passed(told, test_id)}
    excepted = {test_id for ids in EXCEPTIONS.values() for test_id in ids}
    unexpected = {test_id: cache_suite.why(told, test_id) for test_id in failed - excepted}
    assert not unexpected, "\n".join(f"{i}: {why}" for i, why in sorted(unexpected.items()))
    assert not excepted - failed, f"these pass after all: {sorted(excepted - failed)}"
