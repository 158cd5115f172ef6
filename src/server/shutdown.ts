import type { App } from './app.ts'
import type { SilentConnections } from './silent-connections.ts'

const IDLE_SWEEP_MS = 50

export interface RunningParts {
  readonly app: App
  readonly silent: SilentConnections
  readonly backend: { close(): Promise<void> }
  readonly log: { warn(fields: object, message: string): void }
  /** How long running requests may take to finish. */
  readonly seconds: number
  /** Ends the wait early. */
  readonly hurry?: AbortSignal
}

/** Ends a server from the outside in: no new requests, running ones finish or are cut off when their time is over, then the rest. */
export async function closeGracefully({ app, silent, backend, log, seconds, hurry }: RunningParts): Promise<void> {
  const closed = app.close()
  const timeIsOver = new AbortController()
  const timer = setTimeout(() => timeIsOver.abort(), seconds * 1000)
  const cutOff = AbortSignal.any([timeIsOver.signal, ...(hurry ? [hurry] : [])])
  const onCutOff = (): void => {
    log.warn({ seconds }, 'running requests are cut off')
    // Their signals abort, which frees slots and leases.
    app.server.closeAllConnections()
  }
  if (cutOff.aborted) onCutOff()
  else cutOff.addEventListener('abort', onCutOff)
  // A connection kept alive after its last answer would hold up the end until it times out.
  const sweep = setInterval(() => {
    app.server.closeIdleConnections()
    silent.close()
  }, IDLE_SWEEP_MS)
  await closed
  clearInterval(sweep)
  cutOff.removeEventListener('abort', onCutOff)
  clearTimeout(timer)
  await backend.close()
}
