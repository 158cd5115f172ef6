import type { FastifyReply, FastifyRequest } from 'fastify'
import { collect } from '../../generation/collect.ts'
import type { Outcome } from '../../generation/collect.ts'
import type { GenerationPlan } from '../../generation/plan.ts'
import { adaptersHeader } from '../../generation/provenance.ts'
import { startGeneration } from '../../generation/run.ts'
import type { RunEvent } from '../../generation/run.ts'
import { TroupeError } from '../../core/errors.ts'
import type { ResolvedAdapter } from '../../catalogue/records.ts'
import type { RouteDeps } from '../deps.ts'
import { clientSignal } from './client-signal.ts'
import { sendEvents } from './sse.ts'
import type { EventStyle } from './sse.ts'

/** How one API writes a run on the wire. One object per request. */
export interface AnswerFormat<Answer extends object> {
  /** The whole answer as one JSON body. */
  answer(outcome: Outcome): Answer
  /** The chunks of a stream that one event becomes; none is fine. */
  chunks(event: RunEvent): readonly object[]
  /** How chunks are written as events. */
  readonly style?: EventStyle
}

/** Names the one version that a request must run with, by its digest. */
const PIN_HEADER = 'x-troupe-digest'
const DIGEST = /^sha256:[0-9a-f]{64}$/

/** @throws TroupeError `invalid_request` for what is no digest, `pin_mismatch` where the request would run with anything else */
function checkPin(pin: string | string[] | undefined, adapters: readonly ResolvedAdapter[]): void {
  if (pin === undefined) return
  if (typeof pin !== 'string' || !DIGEST.test(pin))
    throw new TroupeError('invalid_request', `the header ${PIN_HEADER} must be \`sha256:\` and 64 hexadecimal digits`, {
      param: PIN_HEADER,
    })
  if (adapters.length === 1 && adapters[0]?.digest === pin && adapters[0].scale === 1) return
  const found = adapters.map(({ adapter, version, digest, scale }) => `${adapter}@v${version} × ${scale} (${digest})`)
  throw new TroupeError(
    'pin_mismatch',
    `the request would run with ${found.join(', ') || 'the base model'}, not with ${pin}`,
    {
      param: PIN_HEADER,
    },
  )
}

/** Runs a plan and answers in the given format: one JSON body, or server-sent events. */
export async function respond<Answer extends object>(
  deps: RouteDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  plan: GenerationPlan,
  format: AnswerFormat<Answer>,
  stream: boolean,
): Promise<Answer | FastifyReply> {
  const { adapters } = plan.resolution
  checkPin(request.headers[PIN_HEADER], adapters)
  if (adapters.length > 0) reply.header('x-troupe-adapters', adaptersHeader(adapters))
  const events = startGeneration(deps, plan, clientSignal(reply))
  if (!stream) return format.answer(await collect(events))
  return sendEvents(request, reply, chunksOf(events, format), format.style)
}

async function* chunksOf(
  events: AsyncIterable<RunEvent>,
  format: AnswerFormat<object>,
): AsyncGenerator<object, void, void> {
  for await (const event of events) yield* format.chunks(event)
}
