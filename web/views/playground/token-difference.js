/** Beyond this many cells a comparison of all with all would be felt. */
const MOST_CELLS = 4_000_000

/**
 * Which tokens of `a` and `b` are not part of what both have in common, in order (longest common subsequence).
 * @returns `{ a, b }`: sets of indices
 */
export function differingTokens(a, b) {
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1
  let end = 0
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1
  const rows = a.length - start - end
  const columns = b.length - start - end
  const differing = { a: range(start, start + rows), b: range(start, start + columns) }
  if (rows * columns > MOST_CELLS) return differing

  const lengths = Array.from({ length: rows + 1 }, () => new Uint16Array(columns + 1))
  for (let i = rows - 1; i >= 0; i--)
    for (let j = columns - 1; j >= 0; j--)
      lengths[i][j] =
        a[start + i] === b[start + j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1])
  for (let i = 0, j = 0; i < rows && j < columns;) {
    if (a[start + i] === b[start + j]) {
      differing.a.delete(start + i)
      differing.b.delete(start + j)
      i += 1
      j += 1
    } else if (lengths[i + 1][j] >= lengths[i][j + 1]) i += 1
    else j += 1
  }
  return differing
}

function range(from, to) {
  return new Set(Array.from({ length: to - from }, (_, index) => from + index))
}
