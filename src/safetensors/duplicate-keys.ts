/**
 * First key that some object of the text has twice; null when every key is unique. `JSON.parse` would keep the last one without a word.
 *
 * @param json valid JSON
 */
export function findDuplicateKey(json: string): string | null {
  // One entry per open bracket: the keys of an object, null for an array.
  const open: (Set<string> | null)[] = []
  let lastString = ''
  for (let i = 0; i < json.length; i++) {
    const char = json[i]
    if (char === '{') open.push(new Set())
    else if (char === '[') open.push(null)
    else if (char === '}' || char === ']') open.pop()
    else if (char === '"') {
      const end = stringEnd(json, i)
      lastString = json.slice(i, end + 1)
      i = end
    } else if (char === ':') {
      const keys = open.at(-1)
      const key = JSON.parse(lastString) as string
      if (keys?.has(key)) return key
      keys?.add(key)
    }
  }
  return null
}

/** Index of the quote that ends the string literal beginning at `start`. */
function stringEnd(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); ; end = json.indexOf('"', end + 1)) {
    let backslashes = 0
    while (json[end - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return end
  }
}
