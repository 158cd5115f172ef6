import type { App } from './app.ts'

export interface RunningParts {
  readonly app: App
  readonly backend: { close(): Promise<void> }
  readonly log: { warn(fields: object, message: string): void }
  /** How long running requests may take to finish. */
  readonly seconds: number
  /** Ends the wait early. */
  readonly hurry?: AbortSignal
}

/** Ends a server from the outside in: no new requests, running ones finish or are cut off when their time is over, then the rest. */
export async function closeGracefully({ app, backend, log, seconds, hurry }: RunningParts): Promise<void> {
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
  await closed
  cutOff.removeEventListener('abort', onCutOff)
  clearTimeout(timer)
  await backend.close()
}
