import { describe, expect, it } from 'vitest'
import { NEWEST, parseNamed, parseReference, REFERENCE_PATTERN } from '../../src/catalogue/reference.ts'
import { codeOf } from '../support/rooms.ts'

const PREFIX = 'sha256:0123456789ab'
const GOOD = [
  ['v3', { kind: 'version', version: 3 }],
  ['3', { kind: 'version', version: 3 }],
  [3, { kind: 'version', version: 3 }],
  ['latest', NEWEST],
  [PREFIX, { kind: 'digest', prefix: PREFIX }],
] as const
const BAD = ['', 'v0', '0', 'v-1', 'V3', 'newest', 'sha256:0123456789a', 'sha256:XYZ456789abc', '1.5', 'v1@v2', ' 3']

describe('a reference to a version', () => {
  it.each(GOOD)('reads %j', (text, selector) => {
    expect(parseReference(text, 'version')).toEqual(selector)
    expect(parseNamed(`a/b@${text}`, 'model')).toEqual({ name: 'a/b', selector })
    expect(new RegExp(REFERENCE_PATTERN).test(String(text))).toBe(true)
  })

  it.each(BAD)('refuses %j, in a schema and in a name', async (text) => {
    expect(await codeOf(() => parseReference(text, 'version'))).toBe('invalid_request')
    expect(await codeOf(() => parseNamed(`a@${text}`, 'model'))).toBe('invalid_request')
    expect(new RegExp(REFERENCE_PATTERN).test(text)).toBe(false)
  })

  it('may be left out', () => {
    expect(parseNamed('a', 'model')).toEqual({ name: 'a', selector: null })
  })
})
