/**
 * The entry file of a thread that lives beside the module `from` (its `import.meta.url`).
 * Under a test runner `from` is a TypeScript source, which a thread on Node 20 cannot load: its compiled twin is used.
 */
export function threadEntry(from: string, name: string): URL {
  const url = new URL(`./${name}.js`, from)
  return from.endsWith('.ts') ? new URL(url.href.replace('/src/', '/dist/')) : url
}
