import { parseArgs } from 'node:util'
import { exportJWK, generateKeyPair, createLocalJWKSet, SignJWT } from 'jose'
import { percentile } from '../src/bench/percentile.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { FileKeys } from '../src/tenancy/file-keys.ts'
import { freshKey } from '../src/tenancy/key-format.ts'
import { Keyring } from '../src/tenancy/keys.ts'
import { Tokens } from '../src/tenancy/tokens.ts'
import { BareTenants } from '../test/support/bare-tenants.ts'
import { begin } from './begin.ts'
import { promise } from './groups.ts'

/**
 * What finding the caller of a request takes beside 10,000 keys of the store and as many of a keys file.
 *
 *     npm run bench:keys -- [--json FILE]
 */

begin()
const { values: options } = parseArgs({ options: { json: { type: 'string' } } })
const KEYS = 10_000
const PER_TENANT = 100
const ROUNDS = 20_000
const WARM = 2_000

const bare = new BareTenants()
const stored = Array.from({ length: KEYS }, (_, n) => bare.addKey(`t${Math.floor(n / PER_TENANT)}`, 'admin').key)
const filed = Array.from({ length: KEYS }, () => freshKey().key.replace('troupe', 'sk'))
const file = new FileKeys([{ name: 'filed', keys: filed }])

const { privateKey, publicKey } = await generateKeyPair('RS256')
const [issuer, audience] = ['https://issuer.test', 'troupe']
const token = await new SignJWT({ tenant: 'acme', role: 'caller' })
  .setProtectedHeader({ alg: 'RS256', kid: 'k' })
  .setIssuer(issuer)
  .setAudience(audience)
  .setExpirationTime('1h')
  .sign(privateKey)
const jwks = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256' }] })
const rules = { issuer, audience, tenantClaim: 'tenant', roleClaim: 'role', skewSeconds: 30 }
const keyring = new Keyring({ file, tenants: bare.state, tokens: new Tokens(rules, jwks) })

/** Milliseconds of the slowest of a hundred, whatever the answer is. */
async function p99(keyOf: (n: number) => string): Promise<number> {
  const samples: number[] = []
  for (let n = 0; n < WARM + ROUNDS; n++) {
    const headers = { authorization: `Bearer ${keyOf(n)}` }
    const began = performance.now()
    try {
      await keyring.authenticate(headers)
    } catch {
      // A refusal is an answer too.
    }
    if (n >= WARM) samples.push(performance.now() - began)
  }
  return percentile(samples, 0.99)
}

const most = { most: 0.3 }
const rows: Row[] = [
  promise(`one of ${KEYS} keys of the store, p99`, await p99((n) => stored[(n * 7919) % KEYS]!), 'ms', most),
  promise(`one of ${KEYS} keys of the keys file, p99`, await p99((n) => filed[(n * 7919) % KEYS]!), 'ms', most),
  promise('an unknown key, p99', await p99(() => 'troupe_000000000000_'.padEnd(63, 'x')), 'ms', most),
  promise('a JWT (RS256), p99', await p99(() => token), 'ms', most),
]
report('npm run bench:keys', rows, options.json)
