import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { GenerationRequest } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import { KvCache } from '../../src/engine/kv-cache.ts'
import type { Step } from '../../src/engine/scheduler.ts'
import { Scheduler } from '../../src/engine/scheduler.ts'
import { Sequence } from '../../src/engine/sequence.ts'

function sequence(id: number, promptLength: number, maxTokens = 8, background = false): Sequence {
  const request: GenerationRequest = {
    tokens: new Int32Array(promptLength).fill(1),
    mix: [],
    sampling: GREEDY,
    maxTokens,
    stopTokens: [],
    logprobs: null,
    promptLogprobs: false,
    background,
  }
  return new Sequence(id, request, 0)
}

const always = (): boolean => true

describe('Scheduler', () => {
  it('lets every other sequence pass one in the background', () => {
    const scheduler = new Scheduler({ slots: 1, prefillChunk: 4 })
    scheduler.add(sequence(1, 2, 8, true))
    scheduler.add(sequence(2, 2))
    expect(scheduler.admit((next) => next.id === 1)).toBeNull()
    const first = scheduler.admit(always)
    expect(first?.id).toBe(2)
    scheduler.remove(first!)
    expect(scheduler.admit(always)?.id).toBe(1)
    scheduler.checkIntegrity()
  })

  it('evaluates a long prompt in chunks with a decode step between them', () => {
    const scheduler = new Scheduler({ slots: 2, prefillChunk: 4 })
    scheduler.add(sequence(1, 2))
    scheduler.add(sequence(2, 10))
    while (scheduler.admit(always)) continue
    const trace: string[] = []
    for (let i = 0; i < 8; i++) {
      const step = scheduler.schedule()!
      trace.push(
        step.type === 'prefill' ? `prefill ${step.sequence.id}:${step.count}` : `decode ${step.sequences.length}`,
      )
      scheduler.complete(step)
    }
    expect(trace).toEqual([
      'prefill 1:2',
      'prefill 2:2',
      'decode 1',
      'prefill 2:4',
      'decode 1',
      'prefill 2:4',
      'decode 2',
      'decode 2',
    ])
  })

  it('lets others overtake a sequence that does not fit yet, but not for ever', () => {
    const scheduler = new Scheduler({ slots: 100, prefillChunk: 4 })
    for (let id = 1; id <= 40; id++) scheduler.add(sequence(id, 2))
    const overtook: number[] = []
    for (let next; (next = scheduler.admit((s) => s.id !== 1));) overtook.push(next.id)
    expect(overtook).toEqual(Array.from({ length: 16 }, (_, i) => i + 2))
    expect(scheduler.waiting).toBe(24)
    expect(scheduler.admit(always)?.id).toBe(1)
    expect(scheduler.admit(always)?.id).toBe(18)
    scheduler.checkIntegrity()
  })

  it('lets nobody overtake where all would fit', () => {
    const scheduler = new Scheduler({ slots: 4, prefillChunk: 4 })
    for (const id of [1, 2]) scheduler.add(sequence(id, 2))
    expect(scheduler.admit(always)?.id).toBe(1)
  })

  it('refuses to remove a sequence it does not hold', () => {
    const scheduler = new Scheduler({ slots: 1, prefillChunk: 4 })
    expect(() => scheduler.remove(sequence(9, 2))).toThrow('sequence 9 is not in row -1')
  })

  it('keeps rows contiguous and every cache row with its owner, whatever comes and goes', () => {
    const action = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ type: fc.constant('add' as const), length: fc.integer({ min: 1, max: 9 }) }),
      },
      { weight: 6, arbitrary: fc.record({ type: fc.constant('step' as const) }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('remove' as const), pick: fc.nat() }) },
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), fc.integer({ min: 1, max: 5 }), (actions, slots) => {
        const scheduler = new Scheduler({ slots, prefillChunk: 4 })
        const shape = { layers: 1, slots, kvHeads: 2, capacity: 64, headDim: 1 }
        const kv = new KvCache(shape)
        const written = (row: number): Float32Array => kv.view(row, 1).past['past.0.key']!.data as Float32Array
        const write = (s: Sequence, count: number): void => {
          for (let head = 0; head < shape.kvHeads; head++)
            for (let i = 0; i < count; i++) written(s.row)[head * shape.capacity + s.cached + i] = s.id
        }
        const leave = (s: Sequence): void => {
          for (const move of scheduler.remove(s)) kv.move(move)
        }
        let nextId = 1
        for (const act of actions) {
          if (act.type === 'add') scheduler.add(sequence(nextId++, act.length))
          if (act.type === 'remove') {
            const all = scheduler.all()
            if (all.length > 0) leave(all[act.pick % all.length]!)
          }
          if (act.type === 'step') {
            while (scheduler.admit(always)) continue
            const step: Step | null = scheduler.schedule()
            if (step === null) expect(scheduler.idle).toBe(true)
            else {
              const rows = step.type === 'prefill' ? [step.sequence] : step.sequences
              for (const s of rows) write(s, step.type === 'prefill' ? step.count : 1)
              scheduler.complete(step)
              if (step.type === 'decode') for (const s of step.sequences) if (s.cached >= s.promptLength + 5) leave(s)
            }
          }
          scheduler.checkIntegrity()
          for (const s of scheduler.running)
            for (let head = 0; head < shape.kvHeads; head++) {
              const row = written(s.row).subarray(head * shape.capacity, head * shape.capacity + s.cached)
              expect([...row].every((value) => value === s.id)).toBe(true)
            }
        }
      }),
      { numRuns: 300 },
    )
  })
})
