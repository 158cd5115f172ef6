/**
 * Where the JSON value that begins at `start` ends (exclusive); null when the text ends before. Looks at brackets and strings only:
 * what it finds may still be no JSON.
 */
export function jsonEnd(text: string, start: number): number | null {
  let depth = 0
  let quoted = false
  for (let at = start; at < text.length; at++) {
    const character = text[at]!
    if (quoted) {
      if (character === '\\') at++
      else if (character === '"') quoted = false
    } else if (character === '"') quoted = true
    else if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') depth--
    else continue
    if (depth === 0 && !quoted) return at + 1
  }
  return null
}

/** The values of a JSON object as they are written, numbers with all of their digits; null when the text is no JSON object. */
export function rawFields(text: string): ReadonlyMap<string, string> | null {
  const value = parsed(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  const fields = new Map<string, string>()
  const body = text.trim()
  for (let at = body.indexOf('"'); at > 0; at = body.indexOf('"', at)) {
    const nameEnd = jsonEnd(body, at)!
    const from = body.indexOf(':', nameEnd) + 1
    const first = from + body.slice(from).search(/\S/)
    const end = '{["'.includes(body[first]!) ? jsonEnd(body, first)! : first + body.slice(first).search(/[,}\s]/)
    fields.set(JSON.parse(body.slice(at, nameEnd)) as string, body.slice(first, end))
    at = end
  }
  return fields
}

/** The elements of a JSON array as they are written; null when the text is no JSON array of objects. */
export function rawObjects(text: string): readonly string[] | null {
  const value = parsed(text)
  if (!Array.isArray(value)) return null
  const body = text.trim().slice(1, -1)
  return value.every((item) => typeof item === 'object' && item !== null) ? objectsIn(body, /^[\s,]*$/) : null
}

/** The bracketed values of a text with nothing but `between` around them; null when there is anything else. */
export function objectsIn(text: string, between: RegExp): readonly string[] | null {
  const objects: string[] = []
  let done = 0
  for (let at = text.indexOf('{'); at >= 0; at = text.indexOf('{', done)) {
    const end = jsonEnd(text, at)
    if (end === null || !between.test(text.slice(done, at))) return null
    objects.push(text.slice(at, end))
    done = end
  }
  return between.test(text.slice(done)) ? objects : null
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
