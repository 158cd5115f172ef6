import type { App } from '../app.ts'
import { TroupeError } from '../../core/errors.ts'

/**
 * Where a server is in its life:
 *
 *     serving ──▶ draining                     ──▶ stopping
 *                 ready says 503, requests         new requests get 503, running ones
 *                 are still taken                  finish or are cut off
 */
export class Lifecycle {
  #phase: 'serving' | 'draining' | 'stopping' = 'serving'
  readonly #running = new Set<(reason: Error) => void>()

  drain(): void {
    if (this.#phase === 'serving') this.#phase = 'draining'
  }

  stop(): void {
    this.#phase = 'stopping'
  }

  get phase(): 'serving' | 'draining' | 'stopping' {
    return this.#phase
  }

  /** Why the server should get no traffic now; empty = it may. */
  get reasons(): readonly string[] {
    return this.#phase === 'serving' ? [] : [`the server is ${this.#phase}`]
  }

  /** Calls back when running requests are cut off; returns how to take that back. */
  onCutOff(end: (reason: Error) => void): () => void {
    this.#running.add(end)
    return () => this.#running.delete(end)
  }

  /** Ends every running request with an error that its client can tell from a fault. */
  cutOff(): void {
    const message = 'the server is stopping and the time to finish is over: send the request again'
    for (const end of [...this.#running]) end(new TroupeError('not_ready', message))
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    lifecycle: Lifecycle
  }
}

/** Refuses new requests once the server stops, and asks clients to connect elsewhere as soon as it drains. */
export function installLifecycle(app: App, lifecycle: Lifecycle): void {
  app.decorate('lifecycle', lifecycle)
  app.addHook('onRequest', async (_request, reply) => {
    if (lifecycle.phase === 'serving') return
    reply.header('connection', 'close')
    if (lifecycle.phase === 'stopping') throw new TroupeError('not_ready', 'the server is stopping: ask another one')
  })
}
