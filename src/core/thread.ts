import { getPriority, setPriority } from 'node:os'
/**
 * The entry file of a thread that lives beside the module `from` (its `import.meta.url`).
 * Under a test runner `from` is a TypeScript source, which a thread on Node 20 cannot load: its compiled twin is used.
 */
export function threadEntry(from: string, name: string): URL {
  const url = new URL(`./${name}.js`, from)
  return from.endsWith('.ts') ? new URL(url.href.replace('/src/', '/dist/')) : url
}

/** Below the engine's and not the lowest of all, with which a busy machine would never come to what the thread does. */
const BEHIND = 5

/**
 * Puts the calling thread behind those that answer requests, so that what it does delays their steps little. On Linux only: there a priority belongs
 * to a thread, and 0 is the one that calls; elsewhere it would be the whole process.
 */
export function stepBehind(): void {
  if (process.platform === 'linux' && getPriority(0) < BEHIND) setPriority(0, BEHIND)
}
