import type { App } from './app.ts'

const IDLE_SWEEP_MS = 50
/** Time for the errors of what is cut off to reach their clients. */
const LAST_WORDS_MS = 1_000

export interface RunningParts {
  readonly app: App
  readonly backend: { close(): Promise<void> }
  readonly log: { warn(fields: object, message: string): void }
  /** How long running requests may take to finish. */
  readonly seconds: number
  /** Ends the wait early. */
  readonly hurry?: AbortSignal
}

/**
 * Ends a server from the outside in: no new requests, running ones finish or, when their time is over, end with an error, then the rest.
 * Whoever does not even read that is cut off a second later.
 */
export async function closeGracefully({ app, backend, log, seconds, hurry }: RunningParts): Promise<void> {
  app.lifecycle.stop()
  const closed = app.close()
  const timeIsOver = new AbortController()
  const timer = setTimeout(() => timeIsOver.abort(), seconds * 1000)
  const cutOff = AbortSignal.any([timeIsOver.signal, ...(hurry ? [hurry] : [])])
  let lastWords: NodeJS.Timeout | undefined
  const onCutOff = (): void => {
    log.warn({ seconds }, 'running requests are cut off')
    // Their signals abort, which frees slots and leases.
    app.lifecycle.cutOff()
    lastWords = setTimeout(() => app.server.closeAllConnections(), LAST_WORDS_MS)
  }
  if (cutOff.aborted) onCutOff()
  else cutOff.addEventListener('abort', onCutOff)
  // A connection kept alive after its last answer would hold up the end until it times out.
  const sweep = setInterval(() => {
    app.server.closeIdleConnections()
    app.connections.closeSilent()
  }, IDLE_SWEEP_MS)
  await closed
  clearInterval(sweep)
  cutOff.removeEventListener('abort', onCutOff)
  clearTimeout(timer)
  clearTimeout(lastWords)
  await backend.close()
}
