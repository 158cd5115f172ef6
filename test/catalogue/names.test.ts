import { describe, expect, it } from 'vitest'
import { canSee, checkName, isName } from '../../src/catalogue/names.ts'
import { codeOf } from '../support/rooms.ts'

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
})
