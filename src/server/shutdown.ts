import type { App } from './app.ts'

export interface RunningParts {
  readonly app: App
  readonly registry: { close(): Promise<void> }
  readonly engine: { stop(): Promise<void> }
  readonly log: { warn(fields: object, message: string): void }
  /** How long running requests may take to finish. */
  readonly seconds: number
}

/**
 * Ends a server from the outside in: no new requests, running ones finish or are cut off when their time is over, then the registry
 * (whose probes need the engine), then the engine.
 */
export async function closeGracefully({ app, registry, engine, log, seconds }: RunningParts): Promise<void> {
  const closed = app.close()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), seconds * 1000)
  })
  const outcome = await Promise.race([closed, late])
  clearTimeout(timer)
  if (outcome === 'late') {
    log.warn({ seconds }, 'requests did not finish in time and are cut off')
    // Their signals abort, which frees slots and leases.
    app.server.closeAllConnections()
    await closed
  }
  await registry.close()
  await engine.stop()
}
