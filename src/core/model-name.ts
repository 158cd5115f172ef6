/**
 * The name of a model as people say it, out of what files and folders call it: the last part of a hub name or path, of `models--org--name` in a
 * download cache the name in it.
 */
export function modelName(path: string): string {
  const parts = path.split(/[\\/]+/).filter((part) => part !== '' && part !== '.')
  const cached = parts.map((part) => /^models--(?:.+?--)?(.+)$/.exec(part)?.[1]).find((name) => name !== undefined)
  return cached ?? parts.at(-1) ?? ''
}

/** Whether this is a place on somebody's disk, and not a name of the hub or of its download cache. */
export function isLocalPath(path: string): boolean {
  if (/(^|[\\/])models--/.test(path)) return false
  return /^([./~\\]|[A-Za-z]:[\\/])/.test(path) || path.split(/[\\/]+/).filter((part) => part !== '').length > 2
}
