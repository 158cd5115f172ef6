import type { Budget } from '../limits.ts'
import type { CodePoints } from './code-points.ts'
import { EVERY } from './code-points.ts'
import type { Regex } from './pattern.ts'
import { PatternError } from './pattern.ts'

type Assertion = Extract<Regex, { type: 'assert' }>['at']

/** A state of Thompson's construction: it reads one character, or leads on without reading. */
export interface NfaState {
  readonly free: number[]
  readonly guarded: { readonly to: number; readonly at: Assertion }[]
  set: CodePoints | null
  to: number
}

export interface Nfa {
  readonly states: readonly NfaState[]
  readonly start: number
  readonly accept: number
  /** Text may follow the match. */
  readonly searches: boolean
}

/** @param search whether text may stand before and after the match, as in JSON Schema's `pattern` */
export function nfaOf(regex: Regex, search: boolean, budget: Budget, at: string): Nfa {
  const states: NfaState[] = []
  const add = (): number => {
    budget.states(1, at)
    return states.push({ free: [], guarded: [], set: null, to: -1 }) - 1
  }
  const read = (set: CodePoints, to: number): number => {
    const state = add()
    Object.assign(states[state]!, { set, to })
    return state
  }
  /** Built from its end: returns the state that begins `node` and goes on at `to`. */
  const before = (node: Regex, to: number): number => {
    switch (node.type) {
      case 'set':
        return read(node.set, to)
      case 'all':
        return node.parts.reduceRight((next, part) => before(part, next), to)
      case 'any': {
        const fork = add()
        for (const part of node.parts) states[fork]!.free.push(before(part, to))
        return fork
      }
      case 'repeat':
        return repeat(node.part, node.min, node.max, to)
      case 'assert': {
        const state = add()
        states[state]!.guarded.push({ to, at: node.at })
        return state
      }
      case 'ahead':
        throw new PatternError('a lookahead can be enforced only directly after a leading `^`')
    }
  }
  const repeat = (part: Regex, min: number, max: number, to: number): number => {
    let next = to
    if (max === Infinity) {
      const loop = add()
      states[loop]!.free.push(to, before(part, loop))
      next = loop
    } else
      for (let i = min; i < max; i++) {
        const fork = add()
        states[fork]!.free.push(to, before(part, next))
        next = fork
      }
    for (let i = 0; i < min; i++) next = before(part, next)
    return next
  }
  const accept = add()
  const inner = before(regex, accept)
  if (!search) return { states, start: inner, accept, searches: false }
  const start = add()
  states[start]!.free.push(inner, read(EVERY, start))
  return { states, start, accept, searches: true }
}
