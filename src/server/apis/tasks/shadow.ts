import { Type } from 'typebox'
import { TroupeError } from '../../../core/errors.ts'
import { viewOf } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { RouteDeps } from '../../deps.ts'
import { versionName } from '../../../generation/target.ts'
import { Name, Strict, errorResponses } from '../../wire/common.ts'

const schema = {
  operationId: 'getShadow',
  tags: ['tasks'],
  summary: 'How a task’s shadow compares with its answers',
  params: Strict({ task: Name }),
  response: {
    200: Strict(
      {
        adapter: Type.String(),
        version: Type.String(),
        sample: Type.Number(),
        equal: Type.Integer({ description: 'Requests with the same text.' }),
        different: Type.Integer(),
        failed: Type.Integer({ description: 'Requests the shadow could not run; the log says why.' }),
        dropped: Type.Integer({ description: 'Requests not run because the server had better to do.' }),
        tokens: Type.Integer({ description: 'Tokens compared, of the longer answer.' }),
        agreed_tokens: Type.Integer({ description: 'Tokens before the first that differed.' }),
      },
      { title: 'Shadow', description: 'Counted by this process since it started, for this version.' },
    ),
    ...errorResponses(400, 401, 404),
  },
}

/** `GET /v1/tasks/{task}/shadow` */
export function shadowRoutes(app: App, { catalogue, shadows }: RouteDeps): void {
  app.get('/v1/tasks/:task/shadow', { schema }, async ({ caller, params }) => {
    const { shadow } = catalogue.getTask(params.task, viewOf(caller))
    if (!shadow) throw new TroupeError('not_found', `task "${params.task}" has no shadow; set one with PUT`)
    const { adapter, version, sample } = shadow
    const digest = catalogue.state.byNumber(adapter, version)?.digest ?? ''
    const { agreed, ...counts } = shadows.counts(params.task, digest)
    return { adapter, version: versionName(version), sample, ...counts, agreed_tokens: agreed }
  })
}
