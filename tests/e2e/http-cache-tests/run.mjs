// node run.mjs MODULES CACHE [TEST-ID ...]
//
// Runs the suite, or those tests of it, against the routes of a cache (a URL without a path) and
// writes a JSON object: for each test its name, its kind, what it depends on, and its result: true,
// or the error's name and message.
//
// In some tests the origin fails on purpose. A cache that notices asks it less for a while, which
// must not disturb the other tests: each of these has a route of its own, with a prefix /aloneN;
// the others share /main. `node run.mjs MODULES` tells how many routes are needed.
import { pathToFileURL } from 'node:url'

const [modules, cache, ...wanted] = process.argv.slice(2)
const load = path => import(pathToFileURL(`${modules}/${path}`).href)
const { default: suites } = await load('http-cache-tests/tests/index.mjs')

// A redirect that names no place may be taken for a failure too.
function failsOrigin (request) {
  const status = request.response_status ? request.response_status[0] : 200
  return Boolean(request.disconnect) || (status >= 300 && status < 400) || status === 429 || status >= 500
}

const alone = new Map()
for (const { tests } of suites) {
  for (const test of tests) {
    if (test.requests.some(failsOrigin)) alone.set(test.id, `alone${alone.size}`)
  }
}

// Requests of a test carry its id; those that set a test up may take any way.
function makeFetch (nodeFetch) {
  return (url, init = {}) => {
    const id = (init.headers || []).find(([name]) => name.toLowerCase() === 'test-id')
    const route = (id && alone.get(id[1])) || 'main'
    return nodeFetch(url.replace(cache, `${cache}/${route}`), init)
  }
}

async function run () {
  const { runTests, getResults } = await load('http-cache-tests/client/runner.mjs')
  const { default: nodeFetch } = await load('node-fetch/lib/index.mjs')
  const chosen = suites
    .map(suite => ({ ...suite, tests: suite.tests.filter(({ id }) => !wanted.length || wanted.includes(id)) }))
  await runTests(chosen, makeFetch(nodeFetch), false, cache)
  const results = getResults()
  const told = {}
  for (const { tests } of chosen) {
    for (const { id, name, kind = 'required', depends_on: needs = [] } of tests) {
      if (id in results) told[id] = { name, kind, needs, result: results[id] }
    }
  }
  return told
}

process.stdout.write(JSON.stringify(cache ? await run() : { alone: alone.size }, null, 1) + '\n')
