import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readKeysFile } from '../../src/tenancy/keys-file.ts'
import { FileKeys } from '../../src/tenancy/file-keys.ts'
import { Keyring } from '../../src/tenancy/keys.ts'
import { temporaryFolder } from '../support/model-folder.ts'

const SHA256_OF_SECRET_KEY = '85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa'

async function keysFile(content: string | object): Promise<string> {
  return join(await temporaryFolder({ 'keys.json': content }), 'keys.json')
}

describe('readKeysFile', () => {
  it('gives the keyring what it needs', async () => {
    const file = new FileKeys(
      readKeysFile(
        await keysFile([
          { tenant: 'acme', key: 'sk-acme-0001' },
          { tenant: 'acme', key: 'sk-acme-0002', role: 'caller' },
          { tenant: 'ops', keySha256: SHA256_OF_SECRET_KEY, admin: true },
        ]),
      ),
    )
    const keyring = new Keyring({ file })
    expect(keyring.authenticate({ authorization: 'Bearer sk-acme-0001' })).toEqual({
      tenant: 'acme',
      role: 'publisher',
    })
    expect(keyring.authenticate({ 'x-api-key': 'sk-acme-0002' })).toEqual({ tenant: 'acme', role: 'caller' })
    expect(keyring.authenticate({ 'x-api-key': 'secret-key' })).toEqual({ tenant: 'ops', role: 'admin' })
  })

  it('takes the limits of a tenant from any of its entries', async () => {
    const limits = { weight: 2.5, concurrentRequests: 3 }
    const file = new FileKeys(
      readKeysFile(
        await keysFile([
          { tenant: 'acme', key: 'sk-acme-0001' },
          { tenant: 'acme', key: 'sk-acme-0002', limits },
          { tenant: 'acme', key: 'sk-acme-0003', limits },
          { tenant: 'beta', key: 'sk-beta-0001' },
        ]),
      ),
    )
    const keyring = new Keyring({ file })
    expect([keyring.limitsOf('acme'), keyring.limitsOf('beta')]).toEqual([limits, {}])
  })

  it.each([
    ['[{"tenant": "acme", "key": "sk-secret-1"', /not valid JSON/],
    ['[{"tenant": "acme", "key": "sk-secret-1", "limits": {"weight": 0}}]', /entry 0 .* `limits` .*\/weight/],
    ['[{"tenant": "acme", "key": "sk-secret-1", "limits": {"rows": 1}}]', /entry 0 .* `limits` /],
    [
      '[{"tenant": "a", "key": "sk-secret-1", "limits": {"weight": 1}}, {"tenant": "a", "key": "sk-secret-2", "limits": {}}]',
      /entry 1 .* other `limits`/,
    ],
    ['[]', /at least one entry/],
    ['[{"tenant": "acme", "key": "sk-secret-1", "rank": "x"}]', /entry 0 .* unknown field "rank"/],
    [
      '[{"tenant": "acme", "key": "sk-secret-1", "role": "x"}]',
      /`role` that is none of admin, publisher, caller, metrics/,
    ],
    ['[{"tenant": "acme", "key": "sk-secret-1", "role": "caller", "admin": true}]', /`admin` and of the role caller/],
    ['[{"tenant": "Acme", "key": "sk-secret-1"}]', /`tenant`/],
    ['[{"tenant": "acme"}]', /either `key` or `keySha256`/],
    ['[{"tenant": "acme", "key": "short"}]', /`key`/],
    ['[{"tenant": "acme", "keySha256": "abc"}]', /64 hex digits/],
    ['[{"tenant": "acme", "key": "sk-secret-1"}, {"tenant": "b", "key": "sk-secret-1"}]', /entry 1 .* earlier entry/],
  ])('refuses %s without showing a key', async (content, message) => {
    const path = await keysFile(content)
    const read = (): unknown => readKeysFile(path)
    expect(read).toThrow(message)
    expect(read).toThrow(expect.objectContaining({ code: 'invalid_config' }))
    expect(read).not.toThrow(/sk-secret/)
  })
})
