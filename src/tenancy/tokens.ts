import { errors, jwtVerify } from 'jose'
import type { JWTPayload, JWTVerifyGetKey } from 'jose'
import { NAME_PART_PATTERN } from '../catalogue/names.ts'
import { TroupeError } from '../core/errors.ts'
import { ROLES } from './roles.ts'
import type { Caller, Role } from './roles.ts'

/** What tokens are accepted, and what is read from them. */
export interface TokenRules {
  readonly issuer: string
  readonly audience: string
  readonly tenantClaim: string
  /** Its value is a role, or a list in which the strongest counts. */
  readonly roleClaim: string
  /** Clocks of issuer and server may differ by this much. */
  readonly skewSeconds: number
}

/** Signatures of a key pair only: with a shared secret every server could issue tokens. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const TENANT = new RegExp(NAME_PART_PATTERN)
/** Where a token names none. */
const DEFAULT_ROLE: Role = 'caller'

/** Whether a key has the form of a signed JWT. */
export function looksLikeToken(key: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(key)
}

/** Callers by the JWTs of an identity provider. */
export class Tokens {
  readonly #rules: TokenRules
  readonly #keys: JWTVerifyGetKey
  readonly #now: () => number

  /** @param now milliseconds; for tests */
  constructor(rules: TokenRules, keys: JWTVerifyGetKey, now = Date.now) {
    this.#rules = rules
    this.#keys = keys
    this.#now = now
  }

  /** @throws TroupeError `invalid_token`, `expired_token`, and `identity_unavailable` from the keys */
  async verify(token: string): Promise<Caller> {
    const { issuer, audience, skewSeconds } = this.#rules
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        ...{ issuer, audience, algorithms: ALGORITHMS, clockTolerance: skewSeconds },
        ...{ requiredClaims: ['exp'], currentDate: new Date(this.#now()) },
      })
      return this.#caller(payload)
    } catch (error) {
      throw this.#refusal(error)
    }
  }

  #caller(payload: JWTPayload): Caller {
    const { tenantClaim, roleClaim } = this.#rules
    const tenant = payload[tenantClaim]
    if (typeof tenant !== 'string' || !TENANT.test(tenant))
      throw invalid(`its claim \`${tenantClaim}\` must name a tenant, in lower-case letters, digits, ".", "_" and "-"`)
    const named = payload[roleClaim]
    if (named === undefined) return { tenant, role: DEFAULT_ROLE }
    const roles: readonly unknown[] = Array.isArray(named) ? named : [named]
    const role = ROLES.find((one) => roles.includes(one))
    if (role === undefined) throw invalid(`its claim \`${roleClaim}\` must be one of ${ROLES.join(', ')}`)
    return { tenant, role }
  }

  #refusal(error: unknown): unknown {
    const { issuer, audience, skewSeconds } = this.#rules
    if (error instanceof errors.JWTExpired)
      return new TroupeError('expired_token', `the token expired more than ${skewSeconds} s ago: sign in again`)
    if (error instanceof errors.JWTClaimValidationFailed) {
      if (error.claim === 'iss') return invalid(`its issuer must be ${issuer}`)
      if (error.claim === 'aud') return invalid(`its audience must be ${audience}`)
      if (error.claim === 'nbf') return invalid('it is not valid yet')
      return invalid(`its claim \`${error.claim}\` is missing or wrong`)
    }
    if (error instanceof errors.JWKSNoMatchingKey) return invalid('no key of the issuer has its `kid`')
    if (error instanceof errors.JWSSignatureVerificationFailed) return invalid('its signature is wrong')
    if (error instanceof errors.JOSEAlgNotAllowed)
      return invalid(`it must be signed with one of ${ALGORITHMS.join(', ')}`)
    if (error instanceof errors.JOSEError) return invalid('it is no well-formed signed JWT')
    return error
  }
}

function invalid(why: string): TroupeError {
  return new TroupeError('invalid_token', `the token is refused: ${why}`)
}
