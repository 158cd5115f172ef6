import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GREEDY } from '../../src/core/generation.ts'
import { readSequence } from '../../src/generation/sequence.ts'
import type { SequenceEvent, TextToken } from '../../src/generation/sequence.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { EOS, bytesOf, fakeText } from '../support/fake-text.ts'

const never = new AbortController().signal

const REQUEST = {
  tokens: Int32Array.of(1),
  mix: [],
  sampling: GREEDY,
  maxTokens: 100,
  stopTokens: [EOS],
  logprobs: null,
  promptLogprobs: false,
}

async function run(answer: readonly number[], stop: readonly string[] = [], maxTokens = 100): Promise<SequenceEvent[]> {
  const engine = new FakeEngine()
  engine.script = () => answer
  const events: SequenceEvent[] = []
  const stream = readSequence(
    engine.generate({ ...REQUEST, maxTokens }, never),
    fakeText,
    { stop, shown: [], stopShown: false, endings: [] },
    never,
    () => {},
  )
  for await (const event of stream) events.push(event)
  expect(engine.active).toBe(0)
  return events
}

function texts(events: readonly SequenceEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'text' ? [event.text] : []))
}

function tokens(events: readonly SequenceEvent[]): TextToken[] {
  return events.flatMap((event) => (event.type === 'text' ? event.tokens : []))
}

describe('readSequence', () => {
  it('holds incomplete characters back and keeps every token with its place', async () => {
    const events = await run(bytesOf('aé€'))
    expect(texts(events)).toEqual(['a', 'é', '€'])
    expect(tokens(events).map(({ offset }) => offset)).toEqual([0, 1, 1, 2, 2, 2])
    expect(events.at(-1)).toEqual({ type: 'finish', reason: 'stop' })
  })

  it('ends with U+FFFD when the length cuts a character', async () => {
    const events = await run(bytesOf('a€'), [], 3)
    expect(texts(events).join('')).toBe('a\ufffd')
    expect(tokens(events)).toHaveLength(3)
    expect(events.at(-1)).toEqual({ type: 'finish', reason: 'length' })
  })

  it('holds back what could become a stop string, and gives it out when it does not', async () => {
    expect(texts(await run(bytesOf('a#b##c'), ['##']))).toEqual(['a', '#b'])
    expect(texts(await run(bytesOf('a#'), ['##'])).join('')).toBe('a#')
  })

  it('whatever the answer and the stops: text and tokens are those before the first stop', async () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), maxLength: 12 })
    const stopTexts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength: 1, maxLength: 3 }), {
      maxLength: 3,
    })
    await fc.assert(
      fc.asyncProperty(letters, stopTexts, async (answer, stops) => {
        const events = await run(bytesOf(answer), stops)
        const ends = stops.flatMap((stop) => {
          const at = answer.indexOf(stop)
          return at < 0 ? [] : [{ begin: at, end: at + stop.length }]
        })
        const first = ends.sort((x, y) => x.end - y.end || x.begin - y.begin)[0]
        const expected = first ? answer.slice(0, first.begin) : answer
        expect(texts(events).join('')).toBe(expected)
        expect(tokens(events).map(({ token }) => token)).toEqual(bytesOf(expected))
      }),
      { numRuns: 150 },
    )
  })
})
