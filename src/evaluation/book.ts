import { Type } from 'typebox'
import type { CatalogueState } from '../catalogue/state.ts'
import { TroupeError } from '../core/errors.ts'
import { Shape } from '../core/shape.ts'
import type { Book } from '../store/record.ts'
import { recordKind } from '../store/record.ts'
import type { Evaluation } from './record.ts'
import { EndFields, EvaluationSchema, EvaluationSpecSchema, WorkerFields } from './record.ts'

/** Evaluations kept in a store; the oldest have to be deleted before more are made. */
const MAX_EVALUATIONS = 1_000

/** What the journal says about evaluations, oldest first. Objects in it are replaced and never changed. */
export type EvaluationState = Map<string, Evaluation>

const savedShape = new Shape(Type.Object({ evaluations: Type.Array(EvaluationSchema) }), 'evaluations')
const Id = { id: Type.String() }

/**
 * All types of records about evaluations. Their sets are blobs, held in the catalogue's list of blobs for as long as an evaluation names them.
 */
export function evaluationBook(evaluations: EvaluationState, catalogue: CatalogueState): Book {
  return {
    name: 'evaluations',
    kinds: {
      'evaluation.created': recordKind(EvaluationSpecSchema, {
        check: ({ id, set }) => {
          if (evaluations.has(id)) throw conflict(`there is an evaluation "${id}"`)
          if (catalogue.isCondemned(set)) throw conflict(`the set ${set.digest} was collected before it was named`)
          if (evaluations.size >= MAX_EVALUATIONS)
            throw conflict(`the store has ${MAX_EVALUATIONS} evaluations, which is all it keeps: delete some`)
        },
        apply: (spec, { at, by }) => {
          catalogue.holdBlob(spec.set)
          evaluations.set(spec.id, { spec, createdAt: at, createdBy: by, worker: null, end: null })
        },
      }),

      /** A process takes an evaluation over: from nobody, or from one that is gone. */
      'evaluation.claimed': recordKind(
        Type.Object({ ...Id, ...WorkerFields, from: Type.Union([Type.String(), Type.Null()]) }),
        {
          check: ({ id, from }) => {
            const { worker } = mustRun(evaluations, id)
            if ((worker?.process ?? null) !== from) throw conflict(`another server took evaluation "${id}" over`)
          },
          apply: ({ id, server, process }) => {
            evaluations.set(id, { ...mustRun(evaluations, id), worker: { server, process } })
          },
        },
      ),

      'evaluation.ended': recordKind(Type.Object({ ...Id, ...EndFields }), {
        check: ({ id }) => void mustRun(evaluations, id),
        apply: ({ id, ...end }, { at }) => {
          evaluations.set(id, { ...mustRun(evaluations, id), worker: null, end: { at, ...end } })
        },
      }),

      'evaluation.deleted': recordKind(Type.Object(Id), {
        check: ({ id }) => void mustHave(evaluations, id),
        apply: ({ id }, { n }) => {
          const { set } = mustHave(evaluations, id).spec
          evaluations.delete(id)
          catalogue.letBlobGo(set, n)
        },
      }),
    },
    save: () => ({ evaluations: [...evaluations.values()] }),
    load: (json) => {
      // A snapshot from before there were evaluations.
      if (json === undefined) return
      for (const evaluation of savedShape.check(json, 'storage_error').evaluations) {
        catalogue.holdBlob(evaluation.spec.set)
        evaluations.set(evaluation.spec.id, evaluation)
      }
    },
  }
}

/** @throws TroupeError `evaluation_not_found` */
export function mustHave(evaluations: EvaluationState, id: string): Evaluation {
  const found = evaluations.get(id)
  if (!found) throw new TroupeError('evaluation_not_found', `there is no evaluation "${id}"`)
  return found
}

function mustRun(evaluations: EvaluationState, id: string): Evaluation {
  const found = mustHave(evaluations, id)
  if (found.end) throw conflict(`evaluation "${id}" has ended: it is ${found.end.status}`)
  return found
}

function conflict(message: string): TroupeError {
  return new TroupeError('conflict', message)
}
