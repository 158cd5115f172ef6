import { invalid } from '../limits.ts'
import type { RulePart, RuleTables } from './tables.ts'

/** Parts of a grammar, and what their authors call them. */
export interface NamedParts {
  /** The first is the whole. */
  readonly parts: readonly RulePart[]
  /** Names of the rules among them. */
  readonly names: ReadonlyMap<number, string>
}

/**
 * Leaves out what no text can ever complete, and finds out what the machine has to know of every part.
 *
 * @param at the place in the request
 * @throws TroupeError `invalid_request` for a rule that comes to itself before it reads anything (left recursion), and where no text fits
 */
export function analysed({ parts: all, names }: NamedParts, at: string): RuleTables {
  const productive = least(all, (part, known) => {
    if (part.type === 'sequence') return part.parts.every(known)
    if (part.type === 'either') return part.parts.some(known)
    if (part.type === 'repeat') return part.min === 0 || known(part.part)
    return part.type !== 'character' || part.ranges.length > 0
  })
  if (!productive[0]) throw invalid(at, 'no text fits the grammar: a rule needs an alternative that comes to an end')
  const parts = all.map((part) => withoutDead(part, productive))
  const nullable = least(parts, (part, known) => {
    if (part.type === 'sequence') return part.parts.every(known)
    if (part.type === 'either') return part.parts.some(known)
    if (part.type === 'repeat') return part.min === 0 || known(part.part)
    return part.type === 'text' && (part.table.words?.includes('') ?? part.table.dfa?.labels[0] !== -1)
  })
  refuseLeftRecursion(parts, nullable, names, at)
  const wide = least(parts, (part, known) => {
    if (part.type === 'either') return part.parts.some(known)
    if (part.type === 'sequence') return part.parts.length === 1 && known(part.parts[0]!)
    return part.type === 'character' && takesPlain(part.ranges)
  })
  const free = least(parts, (part, known) => {
    if (part.type === 'either') return part.parts.some(known)
    if (part.type === 'sequence') return part.parts.length > 0 && known(part.parts[0]!)
    return part.type === 'repeat' && part.max === Infinity && wide[part.part]!
  })
  return { parts: parts.map((part) => counted(part, nullable)), nullable, free }
}

/** The least solution of a property of parts that hangs on that of others. */
function least(
  parts: readonly RulePart[],
  holds: (part: RulePart, known: (part: number) => boolean) => boolean,
): boolean[] {
  const found = parts.map(() => false)
  const known = (part: number): boolean => found[part]!
  for (let changed = true; changed;) {
    changed = false
    // Backwards: parts are mostly made after those they are made of are due.
    for (let i = parts.length - 1; i >= 0; i--) {
      if (found[i] || !holds(parts[i]!, known)) continue
      found[i] = true
      changed = true
    }
  }
  return found
}

function withoutDead(part: RulePart, productive: readonly boolean[]): RulePart {
  if (part.type === 'either') return { ...part, parts: part.parts.filter((one) => productive[one]) }
  return part.type === 'repeat' && !productive[part.part] ? { ...part, max: 0 } : part
}

/** What may be nothing is there any number of times by being nothing. */
function counted(part: RulePart, nullable: readonly boolean[]): RulePart {
  return part.type === 'repeat' && nullable[part.part] ? { ...part, min: 0 } : part
}

/** Whether the ranges have all plain characters: no quote, no backslash, no control character. */
function takesPlain(ranges: readonly (readonly [number, number])[]): boolean {
  let next = 0x20
  const gaps: number[] = []
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    for (; next < first && gaps.length < 3; next = next === 0xd7ff ? 0xe000 : next + 1) gaps.push(next)
    next = Math.max(next, last + 1)
  }
  return next > 0x10ffff && gaps.every((point) => point === 0x22 || point === 0x5c)
}

function refuseLeftRecursion(
  parts: readonly RulePart[],
  nullable: readonly boolean[],
  names: ReadonlyMap<number, string>,
  at: string,
): void {
  const state = new Uint8Array(parts.length)
  const [ENTERED, DONE] = [1, 2]
  // Depth first with a stack of its own: rules may be nested deeper than calls may.
  for (let root = 0; root < parts.length; root++) {
    const path: { readonly part: number; readonly left: number[] }[] = []
    const enter = (part: number): void => {
      state[part] = ENTERED
      path.push({ part, left: firstOf(parts[part]!, nullable) })
    }
    if (state[root] === 0) enter(root)
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const next = top.left.pop()
      if (next === undefined) {
        state[top.part] = DONE
        path.pop()
      } else if (state[next] === 0) enter(next)
      else if (state[next] === ENTERED) {
        const circle = path.slice(path.findIndex(({ part }) => part === next)).map(({ part }) => names.get(part))
        const name = circle.find((one) => one !== undefined) ?? 'root'
        throw invalid(
          at,
          `rule \`${name}\` comes to itself before it reads anything (left recursion): ` +
            `write a repetition instead, such as \`${name} ::= first ("+" first)*\``,
        )
      }
    }
  }
}

/** The parts that may be first in a part. */
function firstOf(part: RulePart, nullable: readonly boolean[]): number[] {
  if (part.type === 'either') return [...part.parts]
  if (part.type === 'repeat') return part.max > 0 ? [part.part] : []
  if (part.type !== 'sequence') return []
  const until = part.parts.findIndex((one) => !nullable[one])
  return part.parts.slice(0, until < 0 ? part.parts.length : until + 1)
}
