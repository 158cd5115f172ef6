import { existsSync } from 'node:fs'
import type { Settings } from '../config/schema.ts'
import { TroupeError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { IssuerKeys } from '../tenancy/issuer-keys.ts'
import { FileKeys } from '../tenancy/file-keys.ts'
import { readKeysFile } from '../tenancy/keys-file.ts'
import { Keyring } from '../tenancy/keys.ts'
import type { TenantsState } from '../tenancy/tenants/state.ts'
import { Tokens } from '../tenancy/tokens.ts'

/** What the settings say about who may use the server. */
export interface Identity {
  /** Together with the keys of the store. */
  keyring(tenants: TenantsState): Keyring
  /** Reads the keys file and the issuer's keys again. What cannot be used is logged, and what was there stays. */
  reload(): void
}

/**
 * Opens the keys file and the issuer of tokens, as far as there are settings for them.
 * @throws TroupeError `invalid_config`
 */
export function openIdentity(settings: Settings, log: Log): Identity {
  const { keys: path } = settings
  const issuer = openIssuer(settings, log)
  const file = path === undefined ? null : new FileKeys(readKeysFile(path))
  return {
    keyring: (tenants) => new Keyring({ file, tenants, tokens: issuer?.tokens ?? null }),
    reload: () => {
      void issuer?.keys.reload()
      if (file !== null && path !== undefined) reloadFile(file, path, log)
    },
  }
}

function reloadFile(file: FileKeys, path: string, log: Log): void {
  try {
    file.replace(readKeysFile(path))
    log.info({ path }, 'the keys file was read again')
  } catch (error) {
    log.error({ err: error }, 'the keys file cannot be used: the keys stay as they were')
  }
}

function openIssuer(settings: Settings, log: Log): { readonly keys: IssuerKeys; readonly tokens: Tokens } | null {
  const { jwtIssuer: issuer, jwtAudience: audience, jwtKeys: location } = settings
  if (issuer === undefined && audience === undefined && location === undefined) return null
  if (issuer === undefined || audience === undefined || location === undefined) {
    const missing = Object.entries({ jwtIssuer: issuer, jwtAudience: audience, jwtKeys: location })
    const [name = ''] = missing.find(([, value]) => value === undefined) ?? []
    const message = `\`${name}\` is missing: tokens need \`jwtIssuer\`, \`jwtAudience\` and \`jwtKeys\` together`
    throw new TroupeError('invalid_config', message, { param: name })
  }
  const isUrl = /^https?:\/\//.test(location)
  if (!isUrl && !existsSync(location))
    throw new TroupeError('invalid_config', `jwtKeys: there is no file ${location}`, { param: 'jwtKeys' })
  const keys = new IssuerKeys({ location, log })
  // Not waited for: an issuer that is down must not keep the server from starting.
  void keys.reload()
  const { jwtTenantClaim: tenantClaim, jwtRoleClaim: roleClaim, jwtSkewSeconds: skewSeconds } = settings
  return { keys, tokens: new Tokens({ issuer, audience, tenantClaim, roleClaim, skewSeconds }, keys.find) }
}
