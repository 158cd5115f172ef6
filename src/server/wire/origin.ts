import type { FastifyRequest } from 'fastify'
import type { Origin } from '../../store/record.ts'

/** Who asks for a change, and in which request: what its record in the journal says. */
export function originOf({ caller, id }: FastifyRequest): Origin {
  return { by: caller.tenant, requestId: id }
}
