import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StopStrings } from '../../src/text/stop-strings.ts'

function scan(stops: readonly string[], pieces: readonly string[]): { text: string; stop: string | null } {
  const scanner = new StopStrings(stops)
  let text = ''
  for (const piece of pieces) {
    const result = scanner.push(piece)
    text += result.text
    if (result.stopped) return { text, stop: result.stop }
  }
  return { text: text + scanner.flush(), stop: null }
}

/** The definition, read off the whole text: the stop string complete first, of those the longest. */
function reference(stops: readonly string[], text: string): { text: string; stop: string | null } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops
      .filter((stop) => stop !== '' && text.slice(0, end).endsWith(stop))
      .sort((a, b) => b.length - a.length)[0]
    if (found !== undefined) return { text: text.slice(0, end - found.length), stop: found }
  }
  return { text, stop: null }
}

describe('StopStrings', () => {
  it('reports the text before the stop and nothing after it', () => {
    const scanner = new StopStrings(['\n\n'])
    expect(scanner.push('one\n')).toEqual({ text: 'one', stopped: false, stop: null })
    expect(scanner.push('two\n\nthree')).toEqual({ text: '\ntwo', stopped: true, stop: '\n\n' })
    expect(scanner.push('four')).toEqual({ text: '', stopped: true, stop: null })
  })

  it('holds back only what could still become a stop string', () => {
    const scanner = new StopStrings(['###', 'END'])
    expect(scanner.push('a#').text).toBe('a')
    expect(scanner.push('b##').text).toBe('#b')
    expect(scanner.push('E').text).toBe('##')
    expect(scanner.flush()).toBe('E')
  })

  it('finds a stop string that overlaps a false start', () => {
    expect(scan(['aab'], ['a', 'a', 'a', 'b'])).toEqual({ text: 'a', stop: 'aab' })
  })

  it('agrees with the definition however the text is cut', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '😀'), maxLength: 5 })
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 4 }), fc.array(letters, { maxLength: 12 }), (stops, pieces) => {
        expect(scan(stops, pieces)).toEqual(reference(stops, pieces.join('')))
      }),
      { numRuns: 2000 },
    )
  })
})
