import type { FastifyReply } from 'fastify'
import { ReaderGoneError } from '../../generation/reader-gone.ts'

/**
 * A signal that aborts when the client goes away before the answer is complete, or when the server stops and cuts off what runs.
 * (`request.signal` also aborts once the request body was read: the request stream closes then.)
 */
export function clientSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const forget = reply.server.lifecycle.onCutOff((reason) => controller.abort(reason))
  const onClose = (): void => {
    forget()
    if (!reply.raw.writableFinished) controller.abort(new ReaderGoneError())
  }
  if (reply.raw.destroyed) onClose()
  else reply.raw.once('close', onClose)
  return controller.signal
}
