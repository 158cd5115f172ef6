/** What is put under a key: bytes, or a file of this machine that nobody changes any more. */
export type Body = Uint8Array | { readonly file: string }

/**
 * A place for immutable values under keys such as `journal/000000000007`: a folder or a bucket. All of the store is built on these four; many servers may
 * use one store at once. Every method throws TroupeError `storage_error`, naming the store, when the medium fails.
 */
export interface Store {
  /** How messages call it: a path, or `s3://bucket/prefix`. */
  readonly name: string
  /**
   * Stores a body under a key, durably, unless something is there already: of many that put one key at once, exactly one gets `true`. When it throws, the body
   * may be stored or not.
   */
  put(key: string, body: Body): Promise<boolean>
  /** Null = nothing is there. */
  get(key: string): Promise<Uint8Array | null>
  /** Like `get`, into a new file. False = nothing is there. */
  fetch(key: string, path: string): Promise<boolean>
  /** Keys that begin with `prefix` (which ends with a slash), in order; only those after the key `after`. */
  list(prefix: string, after?: string): Promise<readonly string[]>
  /** What is not there is no failure. */
  delete(key: string): Promise<void>
  close(): Promise<void>
}

const KEY = /^[A-Za-z0-9][A-Za-z0-9._~-]*(\/[A-Za-z0-9][A-Za-z0-9._~-]*)*$/

/** Keys become paths and URLs: what could climb out of a folder is a fault of ours. */
export function checkKey(key: string): void {
  if (!KEY.test(key)) throw new Error(`${JSON.stringify(key)} cannot be a key of the store`)
}
