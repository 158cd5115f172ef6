import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { CryptoKey, JWK } from 'jose'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { IssuerKeys } from '../../src/tenancy/issuer-keys.ts'
import { Tokens } from '../../src/tenancy/tokens.ts'
import { codeOf, MemoryLog, messageOf, temporaryFolder } from '../support/rooms.ts'

const ISSUER = 'https://login.example.com'
const RULES = { issuer: ISSUER, audience: 'troupe', tenantClaim: 'tenant', roleClaim: 'role', skewSeconds: 30 }
const NOW = Math.floor(Date.parse('2026-06-01T00:00:00Z') / 1000)

let first: { privateKey: CryptoKey; jwk: JWK }
let second: { privateKey: CryptoKey; jwk: JWK }

async function pair(kid: string): Promise<{ privateKey: CryptoKey; jwk: JWK }> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256' } }
}

beforeAll(async () => {
  first = await pair('one')
  second = await pair('two')
})

async function token(claims: object = {}, { privateKey, kid } = { privateKey: first.privateKey, kid: 'one' }) {
  const all = { iss: ISSUER, aud: 'troupe', exp: NOW + 300, tenant: 'acme', ...claims }
  return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid }).sign(privateKey)
}

/** Where the issuer's keys come from, with a clock and a count of questions. */
async function issuer() {
  const state = { keys: [first.jwk], status: 200, asked: 0, ms: 0 }
  const server = createServer((_request, response) => {
    state.asked++
    response.writeHead(state.status).end(JSON.stringify({ keys: state.keys }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const location = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  const log = new MemoryLog()
  const keys = new IssuerKeys({ location, log, now: () => state.ms })
  return { state, log, tokens: new Tokens(RULES, keys.find, () => NOW * 1000), keys }
}

describe('tokens', () => {
  it('name tenant and role; of several roles the strongest counts, without any it is caller', async () => {
    const { tokens } = await issuer()
    expect(await tokens.verify(await token())).toEqual({ tenant: 'acme', role: 'caller' })
    expect(await tokens.verify(await token({ role: 'publisher' }))).toEqual({ tenant: 'acme', role: 'publisher' })
    const roles = ['other', 'caller', 'admin']
    expect(await tokens.verify(await token({ role: roles }))).toEqual({ tenant: 'acme', role: 'admin' })
  })

  it.each([
    [{ iss: 'https://evil.example.com' }, 'invalid_token', 'issuer must be'],
    [{ aud: 'other' }, 'invalid_token', 'audience must be troupe'],
    [{ exp: undefined }, 'invalid_token', '`exp`'],
    [{ nbf: NOW + 100 }, 'invalid_token', 'not valid yet'],
    [{ tenant: undefined }, 'invalid_token', 'claim `tenant`'],
    [{ tenant: '*' }, 'invalid_token', 'claim `tenant`'],
    [{ tenant: ['acme'] }, 'invalid_token', 'claim `tenant`'],
    [{ role: 'root' }, 'invalid_token', 'admin, publisher, caller, metrics'],
    [{ exp: NOW - 31 }, 'expired_token', 'sign in again'],
    [{ exp: NOW - 29 }, 'none', ''],
    [{ nbf: NOW + 29 }, 'none', ''],
  ])('with the claims %j: %s', async (claims, code, message) => {
    const { tokens } = await issuer()
    const text = await token(claims)
    const verify = (): Promise<unknown> => tokens.verify(text)
    expect(await codeOf(verify)).toBe(code)
    if (code !== 'none') expect(await messageOf(verify)).toContain(message)
  })

  it('are refused when somebody else signed them, or nobody', async () => {
    const { tokens } = await issuer()
    const forged = await token({}, { privateKey: second.privateKey, kid: 'one' })
    expect(await messageOf(() => tokens.verify(forged))).toContain('signature is wrong')
    const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
    const claims = { iss: ISSUER, aud: 'troupe', exp: NOW + 300, tenant: 'acme', role: 'admin' }
    const unsigned = `${encode({ alg: 'none' })}.${encode(claims)}.`
    expect(await codeOf(() => tokens.verify(unsigned))).toBe('invalid_token')
    const shared = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(Buffer.from(JSON.stringify(first.jwk)))
    expect(await messageOf(() => tokens.verify(shared))).toContain('must be signed with one of')
    expect(await codeOf(() => tokens.verify('eyJ.eyJ.x'))).toBe('invalid_token')
  })
})

describe('the issuer’s keys', () => {
  it('are fetched anew for an unknown key id, but not for every one', async () => {
    const { state, tokens } = await issuer()
    await tokens.verify(await token())
    const fresh = await token({}, { privateKey: second.privateKey, kid: 'two' })
    expect(await messageOf(() => tokens.verify(fresh))).toContain('no key of the issuer has its `kid`')
    expect(state.asked).toBe(1)
    state.keys = [first.jwk, second.jwk]
    state.ms += 10_000
    expect(await tokens.verify(fresh)).toMatchObject({ tenant: 'acme' })
    expect(state.asked).toBe(2)
  })

  it('are used for an hour while they cannot be fetched; then tokens get 503, until they can', async () => {
    const { state, tokens, log } = await issuer()
    const text = await token()
    await tokens.verify(text)
    state.status = 500
    state.ms += 59 * 60_000
    await tokens.verify(text)
    await vi.waitFor(() => expect(log.lines).toContain('error: the issuer’s keys cannot be fetched'))
    state.ms += 2 * 60_000
    const refused = (): Promise<unknown> => tokens.verify(text)
    expect(await codeOf(refused)).toBe('identity_unavailable')
    state.status = 200
    expect(await codeOf(refused)).toBe('identity_unavailable')
    state.ms += 10_000
    expect(await codeOf(refused)).toBe('none')
    expect(log.lines.at(-1)).toBe('info: the issuer’s keys can be fetched again')
  })

  it('are missed with a named answer when they never came', async () => {
    const { state, tokens, keys } = await issuer()
    state.status = 404
    await keys.reload()
    const text = await token()
    const refused = (): Promise<unknown> => tokens.verify(text)
    expect(await codeOf(refused)).toBe('identity_unavailable')
    expect(await messageOf(refused)).toContain('API keys still work')
  })

  it('may be a file, which is read again when told', async () => {
    const path = join(await temporaryFolder(), 'jwks.json')
    await writeFile(path, JSON.stringify({ keys: [first.jwk] }))
    const keys = new IssuerKeys({ location: path, log: new MemoryLog() })
    const tokens = new Tokens(RULES, keys.find, () => NOW * 1000)
    const fresh = await token({}, { privateKey: second.privateKey, kid: 'two' })
    expect(await codeOf(() => tokens.verify(fresh))).toBe('invalid_token')
    await writeFile(path, JSON.stringify({ keys: [second.jwk] }))
    await keys.reload()
    expect(await codeOf(() => tokens.verify(fresh))).toBe('none')
  })
})
