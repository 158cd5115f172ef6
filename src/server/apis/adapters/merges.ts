import { Type } from 'typebox'
import { COMBINATIONS } from '../../../adapters/peft/merge.ts'
import { readNotes } from '../../../catalogue/changes.ts'
import { MAX_MERGED } from '../../../intake/merges.ts'
import { assertMayAlterAdapter, viewOf } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { NotesFields, VersionSchema } from './schema.ts'
import { Name, Strict, VersionRef, errorResponses } from '../../wire/common.ts'
import { originOf } from '../../wire/origin.ts'
import { addNewVersion } from './new-version.ts'

const schema = {
  operationId: 'mergeAdapters',
  tags: ['adapters'],
  summary: 'Merge stored LoRAs into a new version',
  description:
    'As PEFT’s `add_weighted_adapter`, of plain LoRAs saved by PEFT. The result is a version like an uploaded one; without a description ' +
    'it says what it was made of. The same merge again is the same version.',
  params: Strict({ name: Name }),
  body: Strict(
    {
      combination: Type.Enum([...COMBINATIONS], {
        description: '`cat`: the exact sum, ranks add up. `linear`: sums of the factors, which must have equal ranks.',
      }),
      adapters: Type.Array(
        Strict(
          {
            name: Name,
            version: Type.Optional(VersionRef),
            weight: Type.Number({ description: 'Factor on the adapter’s own scale; may be negative.' }),
          },
          { title: 'MergedAdapter', description: 'Without a version: the newest ready one.' },
        ),
        { minItems: 1, maxItems: MAX_MERGED },
      ),
      ...NotesFields,
    },
    {
      title: 'MergeRequest',
      examples: [
        {
          combination: 'cat',
          adapters: [
            { name: 'ticket-json', weight: 0.7 },
            { name: 'question-sql', weight: 0.5 },
          ],
        },
      ],
    },
  ),
  response: {
    200: VersionSchema('The merge already was this version.'),
    201: VersionSchema('A new version, validated and ready.'),
    ...errorResponses(400, 401, 403, 404, 409, 413, 415, 500),
  },
}

/** `POST /v1/adapters/{name}/merges` */
export function adapterMergeRoutes(app: App, deps: ServerDeps): void {
  const { catalogue, intake, settings } = deps
  app.post('/v1/adapters/:name/merges', { schema }, async (request, reply) => {
    const { body, caller, params } = request
    assertMayAlterAdapter(catalogue.state, caller, params.name)
    const view = viewOf(caller)
    const input = { combination: body.combination, adapters: body.adapters, limitBytes: settings.uploadLimitBytes }
    const added = await addNewVersion(deps, params.name, { source: 'merge', ...originOf(request) }, async (staging) => {
      const notes = readNotes(body)
      return { description: await intake.mergeInto(staging, input, view), ...notes }
    })
    return reply.code(added.status).send(added.body)
  })
}
