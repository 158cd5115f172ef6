import { Option } from 'commander'
import type { Command } from 'commander'
import { ROLES } from '../../tenancy/roles.ts'
import type { Role } from '../../tenancy/roles.ts'
import { addSettingFlags, settingsFromFlags } from '../setting-flags.ts'
import type * as Actions from './actions.ts'
import type { TenantDesk } from './desk.ts'

type Flags = Readonly<Record<string, unknown>>

interface KeyFlags {
  readonly role: Role
  readonly label: string
  readonly expires?: string
}

/** `troupe tenants …`: at a server with `--url`, else in the store. Keys go to stdout alone, so that they can be piped. */
export function addTenantCommands(tenants: Command): void {
  const command = (parent: Command, name: string, description: string): Command => {
    const added = parent
      .command(name)
      .description(description)
      .option('--url <url>', 'ask the server there, with the admin’s key in $TROUPE_KEY; else the store is changed')
    return addSettingFlags(added, ['store', 'storeCacheBytes', 'cacheDir'])
  }
  command(tenants, 'list', 'list tenants').action((flags: Flags) => at(flags, async (d) => (await tell()).listed(d)))

  withKeyFlags(command(tenants, 'create <tenant>', 'make a tenant, and a key for it, which is printed this once'))
    .option('--description <text>', 'what is said about the tenant')
    .option('--no-key', 'make no key')
    .action((tenant: string, flags: Flags & KeyFlags & { description?: string; key: boolean }) =>
      at(flags, async (desk) => (await tell()).created(desk, tenant, flags)),
    )
  command(tenants, 'delete <tenant>', 'delete a tenant that owns nothing any more, with its keys').action(
    (tenant: string, flags: Flags) => at(flags, (desk) => desk.deleteTenant(tenant)),
  )

  const keys = tenants.command('keys').description('look after a tenant’s keys')
  command(keys, 'list <tenant>', 'list keys, without their secrets').action((tenant: string, flags: Flags) =>
    at(flags, async (desk) => (await tell()).keysListed(desk, tenant)),
  )
  withKeyFlags(command(keys, 'create <tenant>', 'make a key, which is printed this once')).action(
    (tenant: string, flags: Flags & KeyFlags) => at(flags, async (desk) => (await tell()).keyMade(desk, tenant, flags)),
  )
  command(keys, 'rotate <tenant> <id>', 'make a key in the place of another, which ends after some time')
    .option('--grace <time>', 'how long the former key is accepted, such as 30m, 12h or 7d', '1h')
    .action((tenant: string, id: string, flags: Flags & { grace: string }) =>
      at(flags, async (desk) => (await tell()).rotated(desk, tenant, id, flags.grace)),
    )
  command(keys, 'expire <tenant> <id>', 'set when a key ends')
    .option('--at <time>', 'a time such as 2027-01-31T12:00:00Z, or how far away, such as 7d; `never`', '0m')
    .action((tenant: string, id: string, flags: Flags & { at: string }) =>
      at(flags, async (desk) => (await tell()).expired(desk, tenant, id, flags.at)),
    )
  command(keys, 'revoke <tenant> <id>', 'refuse a key from now on').action((tenant: string, id: string, flags: Flags) =>
    at(flags, (desk) => desk.revokeKey(tenant, id)),
  )
}

function withKeyFlags(command: Command): Command {
  return command
    .addOption(new Option('--role <role>', 'what the key may do').choices(ROLES).default('publisher'))
    .option('--label <text>', 'what the key is for', '')
    .option('--expires <time>', 'when the key ends: a time such as 2027-01-31, or how far away, such as 90d')
}

function tell(): Promise<typeof Actions> {
  return import('./actions.ts')
}

async function at(flags: Flags & { url?: string }, act: (desk: TenantDesk) => Promise<unknown>): Promise<void> {
  const desk = await openDesk(flags)
  try {
    await act(desk)
  } finally {
    await desk.close()
  }
}

async function openDesk({ url, ...flags }: Flags & { url?: string }): Promise<TenantDesk> {
  if (url !== undefined) return (await import('./server-desk.ts')).serverDesk(url, process.env.TROUPE_KEY || undefined)
  return (await import('./store-desk.ts')).openStoreDesk(settingsFromFlags(flags))
}
