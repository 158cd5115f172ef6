import { hostname } from 'node:os'
import { emptyBooks } from '../../app/books.ts'
import type { Settings } from '../../config/schema.ts'
import { Journal } from '../../store/journal.ts'
import { TenantChanges } from '../../tenancy/tenants/changes.ts'
import type { NewKey } from '../../tenancy/tenants/changes.ts'
import { createLogger } from '../../telemetry/log.ts'
import { openLocation } from '../store.ts'
import type { MadeKey, TenantDesk } from './desk.ts'

/** Who the records say asked for it. */
const ORIGIN = { by: 'troupe tenants' }

/** Writes into the store itself: whoever can write there needs no key. Running servers follow. */
export async function openStoreDesk(
  settings: Pick<Settings, 'store' | 'storeCacheBytes' | 'cacheDir'>,
): Promise<TenantDesk> {
  const { store } = await openLocation(settings)
  const { state, tenants, books } = emptyBooks()
  const server = `${hostname().replace(/[^A-Za-z0-9-]/g, '-')}-tenants-${process.pid}`
  const journal = await Journal.open({ store, books, server, log: createLogger('warn') })
  const changes = new TenantChanges(journal, tenants, (tenant) => state.ownedBy(tenant))
  return {
    listTenants: async () =>
      [...tenants.tenants.values()].map(({ name, description }) => ({
        ...{ name, description },
        keys: tenants.keysOf(name).length,
      })),
    putTenant: async (name, description) => void (await changes.putTenant(name, { description }, ORIGIN)),
    deleteTenant: (name) => changes.deleteTenant(name, ORIGIN),
    listKeys: async (tenant) => tenants.keysOf(tenants.tenant(tenant).name),
    addKey: async (tenant, wish) => made(await changes.addKey(tenant, wish, ORIGIN)),
    rotateKey: async (tenant, id, graceSeconds) => made(await changes.rotateKey(tenant, id, graceSeconds, ORIGIN)),
    expireKey: async (tenant, id, expiresAt) => void (await changes.changeKey(tenant, id, { expiresAt }, ORIGIN)),
    revokeKey: (tenant, id) => changes.revokeKey(tenant, id, ORIGIN),
    close: async () => {
      await journal.close()
      await store.close()
    },
  }
}

function made({ key, text }: NewKey): MadeKey {
  return { id: key.id, text }
}
