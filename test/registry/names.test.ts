import { describe, expect, it } from 'vitest'
import { canSee, checkName, isName, parseReference } from '../../src/registry/names.ts'
import { codeOf } from '../support/registry-fixture.ts'

describe('names', () => {
  it.each(['a', 'invoice-json', 'acme/invoice.v2_x', '0/0', 'a'.repeat(63), `${'a'.repeat(63)}/${'b'.repeat(63)}`])(
    'takes %s',
    (name) => expect(isName(name)).toBe(true),
  )

  it.each([
    ...['', '.', '..', '../x', 'a/..', 'a/../b', '/a', 'a/', 'a//b', 'a/b/c', 'A', 'ä', 'a b', 'a\\b', 'a\0', 'a\n'],
    ...['-a', '.hidden', 'a/.b', 'a@v1', 'a.json', 'x.json/a', 'a~b', 'a%2fb', 'a'.repeat(64)],
  ])('refuses %j', async (name) => {
    expect(await codeOf(() => checkName(name, 'adapter'))).toBe('invalid_request')
  })

  it('shows owned names to their owner and the administrator', () => {
    expect(canSee('acme/x', 'acme')).toBe(true)
    expect(canSee('acme/x', '*')).toBe(true)
    expect(canSee('acme/x', 'other')).toBe(false)
    expect(canSee('acme', 'other')).toBe(true)
  })

  it('reads references to versions', async () => {
    const version = { kind: 'version', version: 3 }
    expect(parseReference('a/b@v3', 'model')).toEqual({ name: 'a/b', selector: version })
    expect(parseReference('a@3', 'model').selector).toEqual(version)
    expect(parseReference('a', 'model').selector).toEqual({ kind: 'newest' })
    const prefix = 'sha256:0123456789ab'
    expect(parseReference(`a@${prefix}`, 'model').selector).toEqual({ kind: 'digest', prefix })
    for (const bad of ['a@', 'a@v0', 'a@v-1', 'a@latest', 'a@sha256:0123', 'a@1.5', 'a@v1@v2']) {
      expect(await codeOf(() => parseReference(bad, 'model'))).toBe('invalid_request')
    }
  })
})
