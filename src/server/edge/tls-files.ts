import { statSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { readText } from '../../config/config-file.ts'
import { TroupeError, messageOf } from '../../core/errors.ts'

/** Certificate chain and private key in PEM form. */
export interface TlsPair {
  readonly cert: string
  readonly key: string
}

const LOOK_MS = 5_000

/** The files of certificate and key. They may be replaced while the server runs, as certificate managers do. */
export class TlsFiles {
  readonly #cert: string
  readonly #key: string
  #mark = ''

  /** Null when neither is set. Throws `invalid_config` when only one is. */
  static of({ tlsCert, tlsKey }: { readonly tlsCert?: string; readonly tlsKey?: string }): TlsFiles | null {
    if (tlsCert === undefined && tlsKey === undefined) return null
    if (tlsCert !== undefined && tlsKey !== undefined) return new TlsFiles(tlsCert, tlsKey)
    const missing = tlsCert === undefined ? 'tlsCert' : 'tlsKey'
    throw new TroupeError('invalid_config', `HTTPS needs both \`tlsCert\` and \`tlsKey\`; \`${missing}\` is not set`, {
      param: missing,
    })
  }

  private constructor(cert: string, key: string) {
    this.#cert = cert
    this.#key = key
  }

  /** Throws `invalid_config` for files that cannot be read or do not belong together. */
  read(): TlsPair {
    this.#mark = this.#look()
    const pair = { cert: readText(this.#cert, 'certificate'), key: readText(this.#key, 'private key') }
    try {
      createSecureContext(pair)
    } catch (cause) {
      throw new TroupeError(
        'invalid_config',
        `${this.#cert} and ${this.#key} cannot be used as certificate and key: ${messageOf(cause)}`,
        { param: 'tlsCert', cause },
      )
    }
    return pair
  }

  /**
   * Tells about every change of the files that gives a usable pair; others are reported, once each.
   * @returns how to end it
   */
  watch(onChange: (pair: TlsPair) => void, onError: (error: unknown) => void, everyMs = LOOK_MS): () => void {
    const look = (): void => {
      if (this.#look() === this.#mark) return
      try {
        onChange(this.read())
      } catch (error) {
        onError(error)
      }
    }
    const timer = setInterval(look, everyMs)
    timer.unref()
    return () => clearInterval(timer)
  }

  /** Changes when one of the files does. */
  #look(): string {
    return [this.#cert, this.#key]
      .map((path) => {
        const found = statSync(path, { throwIfNoEntry: false })
        return found ? `${found.ino} ${found.mtimeMs} ${found.size}` : 'missing'
      })
      .join(', ')
  }
}
