/** How one figure that somebody else keeps appears: name, kind, help text, and where it is read. */
export interface ReadMetric<T> {
  readonly name: string
  readonly kind: 'gauge' | 'counter'
  readonly help: string
  readonly read: (source: T) => number
}

/** A level: may fall. */
export function gauge<T>(name: string, help: string, read: (source: T) => number): ReadMetric<T> {
  return { kind: 'gauge', name, help, read }
}

/** A number that only grows while the process lives. */
export function counter<T>(name: string, help: string, read: (source: T) => number): ReadMetric<T> {
  return { kind: 'counter', name, help, read }
}
