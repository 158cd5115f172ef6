import type { FastifyReply } from 'fastify'

/** Why a request's signal was aborted: its client went away before the answer was complete. */
export class ClientGoneError extends Error {
  constructor() {
    super('the client closed the connection')
    this.name = 'ClientGoneError'
  }
}

/**
 * A signal that aborts when the client goes away before the answer is complete.
 * (`request.signal` also aborts once the request body was read: the request stream closes then.)
 */
export function clientSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const onClose = (): void => {
    if (!reply.raw.writableFinished) controller.abort(new ClientGoneError())
  }
  if (reply.raw.destroyed) onClose()
  else reply.raw.once('close', onClose)
  return controller.signal
}
