import { expect, it } from 'vitest'
import { joinOwnedNames } from '../../src/server/named-urls.ts'

it.each([
  ['/v1/tasks/acme/t/generate', '/v1/tasks/acme%2Ft/generate'],
  ['/v1/tasks/acme/t', '/v1/tasks/acme%2Ft'],
  ['/v1/tasks/t/generate', '/v1/tasks/t/generate'],
  ['/v1/tasks/acme%2Ft/generate', '/v1/tasks/acme%2Ft/generate'],
  ['/v1/tasks/acme/t/rollback?x=1', '/v1/tasks/acme%2Ft/rollback?x=1'],
  ['/v1/adapters/acme/a/versions/v1', '/v1/adapters/acme%2Fa/versions/v1'],
  ['/v1/adapters/a/versions/v1', '/v1/adapters/a/versions/v1'],
  ['/v1/adapters/acme/a/merges', '/v1/adapters/acme%2Fa/merges'],
  ['/v1/adapters/a/merges', '/v1/adapters/a/merges'],
  ['/v1/models/acme/a@v2', '/v1/models/acme%2Fa@v2'],
  ['/v1/adapters?prefix=a/b/c', '/v1/adapters?prefix=a/b/c'],
  ['/health/live', '/health/live'],
])('%s is routed as %s', (given, routed) => {
  expect(joinOwnedNames({ url: given })).toBe(routed)
})
