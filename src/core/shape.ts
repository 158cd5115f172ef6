import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { ErrorCode } from './errors.ts'
import { TroupeError } from './errors.ts'

/** A TypeBox schema that was compiled once, for values of this process: files, records, options. */
export class Shape<S extends TSchema> {
  readonly #compiled: ReturnType<typeof Compile<S>>
  readonly #what: string

  /** @param what how the value is called in messages, such as `task` */
  constructor(schema: S, what: string) {
    this.#compiled = Compile(schema)
    this.#what = what
  }

  matches(value: unknown): value is Static<S> {
    return this.#compiled.Check(value)
  }

  /**
   * The value with its type.
   * @throws TroupeError `code` naming the field and what it must be
   */
  check(value: unknown, code: ErrorCode): Static<S> {
    if (this.#compiled.Check(value)) return value
    const errors = this.#compiled.Errors(value)
    const unknown = errors.find(({ keyword }) => keyword === 'additionalProperties')
    const first = unknown ?? errors.find(({ keyword }) => keyword !== 'boolean') ?? errors[0]
    const path = (first?.instancePath ?? '').split('/').slice(1)
    const params = (first?.params ?? {}) as { additionalProperties?: string[]; requiredProperties?: string[] }
    const [extra] = params.additionalProperties ?? params.requiredProperties ?? []
    const param = [...path, ...(extra === undefined ? [] : [extra])].map(plainKey).join('.')
    const demand = unknown
      ? 'is unknown'
      : extra === undefined
        ? (first?.message ?? 'has the wrong shape')
        : 'is missing'
    const field = param === '' ? this.#what : `${this.#what}: ${param}`
    throw new TroupeError(code, `${field} ${demand}`, { param: param === '' ? this.#what : param })
  }
}

/** A step of a JSON pointer as people write it. */
function plainKey(key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~')
}
