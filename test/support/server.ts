import { rmSync } from 'node:fs'
import type { Settings } from '../../src/config/schema.ts'
import type { Server } from '../../src/app/start.ts'
import { startServer } from '../../src/app/start.ts'
import { scratchFolder } from './at-exit.ts'

export interface RunningServer {
  readonly url: string
  readonly store: string
  /** The server behind the URL, for what HTTP does not say. */
  readonly server: Server
  /** Stops the server and removes its store, unless the store was given. */
  close(): Promise<void>
}

/** A whole server on a free loopback port, with a store of its own. */
export async function startTestServer(settings: Partial<Settings>): Promise<RunningServer> {
  const store = settings.store ?? scratchFolder('troupe-store-')
  const server = await startServer({
    precision: 'f32',
    threads: 1,
    port: 0,
    logLevel: 'silent',
    // The fixtures' folders are all called `model`.
    allowBaseMismatch: true,
    ...settings,
    store,
  })
  return {
    url: server.url,
    store,
    server,
    close: async () => {
      await server.close()
      if (settings.store === undefined) rmSync(store, { recursive: true, force: true })
    },
  }
}
