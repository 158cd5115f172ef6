/** A set of Unicode code points: `[first, last, first, last, …]`, ascending, ranges apart. */
export type CodePoints = readonly number[]

const LAST = 0x10ffff

export const EVERY: CodePoints = [0, LAST]
export const DIGITS: CodePoints = [0x30, 0x39]
export const WORD: CodePoints = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a]
/** ECMAScript's WhiteSpace and LineTerminator. */
export const SPACES: CodePoints = union(
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
)
export const LINE_ENDS: CodePoints = [0x0a, 0x0a, 0x0d, 0x0d, 0x2028, 0x2029]

export function union(...sets: readonly CodePoints[]): CodePoints {
  const ranges = sets.flatMap((set) => pairs(set)).sort((a, b) => a[0] - b[0])
  const out: number[] = []
  for (const [first, last] of ranges) {
    const end = out.length - 1
    if (out.length > 0 && first <= out[end]! + 1) out[end] = Math.max(out[end]!, last)
    else out.push(first, last)
  }
  return out
}

export function complement(set: CodePoints): CodePoints {
  const out: number[] = []
  let next = 0
  for (const [first, last] of pairs(set)) {
    if (first > next) out.push(next, first - 1)
    next = last + 1
  }
  if (next <= LAST) out.push(next, LAST)
  return out
}

export function contains(set: CodePoints, point: number): boolean {
  for (let i = 0; i < set.length; i += 2) if (point >= set[i]! && point <= set[i + 1]!) return true
  return false
}

const PROPERTIES = new Map<string, CodePoints>()

/** The code points of a Unicode property such as `L` or `Script=Greek`; null when there is no such property. */
export function unicodeProperty(name: string): CodePoints | null {
  const known = PROPERTIES.get(name)
  if (known) return known
  let test: RegExp
  try {
    test = new RegExp(`\\p{${name}}`, 'u')
  } catch {
    return null
  }
  const out: number[] = []
  for (let point = 0; point <= LAST; point++) {
    if (!test.test(String.fromCodePoint(point))) continue
    if (out.length > 0 && out[out.length - 1] === point - 1) out[out.length - 1] = point
    else out.push(point, point)
  }
  PROPERTIES.set(name, out)
  return out
}

function pairs(set: CodePoints): [number, number][] {
  const out: [number, number][] = []
  for (let i = 0; i < set.length; i += 2) out.push([set[i]!, set[i + 1]!])
  return out
}
