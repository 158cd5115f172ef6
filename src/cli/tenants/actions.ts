import { TroupeError } from '../../core/errors.ts'
import type { Role } from '../../tenancy/roles.ts'
import type { MadeKey, TenantDesk } from './desk.ts'

interface KeyWords {
  readonly role: Role
  readonly label: string
  readonly expires?: string
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

export async function listed(desk: TenantDesk): Promise<void> {
  const rows = await desk.listTenants()
  for (const { name, keys, description } of rows)
    console.log([name, `${keys} ${keys === 1 ? 'key' : 'keys'}`, description].join('  '))
  if (rows.length === 0) console.error('there are no tenants yet')
}

/** A tenant that exists stays as it is and gets the key. */
export async function created(
  desk: TenantDesk,
  tenant: string,
  { description, key, ...words }: KeyWords & { readonly description?: string; readonly key: boolean },
): Promise<void> {
  await desk.putTenant(tenant, description)
  console.error(`tenant ${tenant} is there`)
  if (key) await keyMade(desk, tenant, words)
}

export async function keysListed(desk: TenantDesk, tenant: string): Promise<void> {
  for (const { id, role, label, createdAt, expiresAt } of await desk.listKeys(tenant))
    console.log(
      [id, role, `made ${createdAt}`, expiresAt === null ? 'never ends' : `ends ${expiresAt}`, label].join('  '),
    )
}

export async function keyMade(desk: TenantDesk, tenant: string, { role, label, expires }: KeyWords): Promise<void> {
  const expiresAt = expires === undefined ? null : readTime('--expires', expires)
  show(await desk.addKey(tenant, { role, label, expiresAt }))
}

export async function rotated(desk: TenantDesk, tenant: string, id: string, grace: string): Promise<void> {
  show(await desk.rotateKey(tenant, id, Math.round(readSpan('--grace', grace) / 1000)))
}

export async function expired(desk: TenantDesk, tenant: string, id: string, at: string): Promise<void> {
  await desk.expireKey(tenant, id, at === 'never' ? null : readTime('--at', at))
}

/** The key alone on stdout: `TROUPE_KEY=$(troupe tenants create ops --role admin)`. */
function show({ id, text }: MadeKey): void {
  console.error(`key ${id}, shown this once:`)
  console.log(text)
}

/** A time, or `90d` from now. */
function readTime(flag: string, text: string): string {
  if (/^\d+[smhd]$/.test(text)) return new Date(Date.now() + readSpan(flag, text)).toISOString()
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN
  if (Number.isFinite(time)) return new Date(time).toISOString()
  throw wrong(`${flag} takes a time such as 2027-01-31T12:00:00Z, or how far away, such as 90d, not ${text}`)
}

function readSpan(flag: string, text: string): number {
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? []
  const ms = Number(count) * (UNIT_MS[unit] ?? NaN)
  if (Number.isFinite(ms)) return ms
  throw wrong(`${flag} takes a number with s, m, h or d, such as 12h, not ${text}`)
}

function wrong(message: string): TroupeError {
  return new TroupeError('invalid_request', message)
}
