import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { TroupeError } from '../../core/errors.ts'

/** `Example.com:8080` → `example.com`, `[::1]:80` → `::1`; null for what is no host. */
export function hostName(host: string): string | null {
  const url = `http://${host}`
  if (!URL.canParse(url)) return null
  const { hostname, pathname, search, username } = new URL(url)
  if (pathname !== '/' || search !== '' || username !== '') return null
  return hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

/**
 * Which names a server goes by. A page whose name was pointed at this machine (DNS rebinding) sends its own name as `Host`; an IP address cannot
 * be pointed elsewhere, and `localhost` and the machine's own name are this machine.
 */
export class KnownHosts {
  readonly #names: ReadonlySet<string>
  readonly #suffixes: readonly string[]

  /** @param allowed names; `.example.com` stands for all below it */
  constructor(listening: string, allowed: readonly string[]) {
    const names = [listening, hostname(), ...allowed].map((name) => name.toLowerCase())
    this.#names = new Set(names.filter((name) => !name.startsWith('.')))
    this.#suffixes = ['.localhost', ...names.filter((name) => name.startsWith('.'))]
  }

  knows(host: string): boolean {
    const name = hostName(host)
    if (name === null) return false
    if (isIP(name) !== 0 || name === 'localhost' || this.#names.has(name)) return true
    return this.#suffixes.some((suffix) => name.endsWith(suffix))
  }

  /** Throws `host_not_allowed`. A request without the header is no browser's. */
  check(host: string | undefined): void {
    if (host === undefined || host === '' || this.knows(host)) return
    throw new TroupeError(
      'host_not_allowed',
      `this server does not go by the name "${host}": add it to the setting \`allowedHosts\` (--allowed-hosts) if it should`,
      { param: 'host' },
    )
  }
}
