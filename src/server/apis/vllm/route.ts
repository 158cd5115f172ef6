import { Type } from 'typebox'
import { TroupeError } from '../../../core/errors.ts'
import { IMPORT_FOLDER } from '../../../intake/import-folder.ts'
import { assertMayAlterAdapter } from '../../../tenancy/access.ts'
import type { Caller } from '../../../tenancy/roles.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { Maybe, Name, Strict, errorResponses } from '../../wire/common.ts'
import { originOf } from '../../wire/origin.ts'

const said = (description: string) => ({ description, content: { 'text/plain': { schema: Type.String() } } })

const schemas = {
  load: {
    operationId: 'loadLoraAdapter',
    tags: ['vllm'],
    summary: 'Import an adapter from a folder of the store (vLLM’s call)',
    description:
      `\`lora_path\` is confined to the store folder; a tenant’s to \`${IMPORT_FOLDER}/<tenant>/\` in it. ` +
      'The files stay where they are. Without `load_inplace` a name that exists is refused.',
    body: Strict(
      {
        lora_name: Name,
        lora_path: Type.String({ minLength: 1, maxLength: 4096, description: 'Absolute, or relative to the store.' }),
        load_inplace: Maybe(Type.Boolean({ description: 'Make it the next version of an adapter that exists.' })),
        base_model_name: Maybe(Type.String({ description: 'Accepted; there is one base model.' })),
      },
      { title: 'LoadLoraAdapter', examples: [{ lora_name: 'tuned', lora_path: 'import/tuned' }] },
    ),
    response: { 200: said('It can be named as `model`.'), ...errorResponses(400, 401, 403, 404, 409, 413, 415, 500) },
  },
  unload: {
    operationId: 'unloadLoraAdapter',
    tags: ['vllm'],
    summary: 'Delete an adapter (vLLM’s call); requests in flight are drained',
    body: Strict(
      { lora_name: Name, lora_int_id: Maybe(Type.Integer({ description: 'Accepted and ignored.' })) },
      { title: 'UnloadLoraAdapter', examples: [{ lora_name: 'tuned' }] },
    ),
    response: { 200: said('It cannot be named any more.'), ...errorResponses(400, 401, 403, 404, 409, 415, 500) },
  },
}

/** `POST /v1/load_lora_adapter`, `/v1/unload_lora_adapter`: so that controllers made for vLLM can drive Troupe. */
export function vllmRoutes(app: App, { catalogue, intake, residency, metrics }: ServerDeps): void {
  app.post('/v1/load_lora_adapter', { schema: schemas.load }, async (request, reply) => {
    const { body, caller } = request
    const { lora_name: name, lora_path: path, load_inplace: inPlace } = body
    assertMayAlterAdapter(catalogue.state, caller, name)
    if (!inPlace && isServed(catalogue, name)) {
      const message = `The lora adapter '${name}' has already been loaded. If you want to load the adapter in place, set 'load_inplace' to True.`
      throw new TroupeError('invalid_request', message, { param: 'lora_name' })
    }
    const { created } = await intake.importFolder(name, path, importRoot(caller), originOf(request))
    metrics.uploadEnded(created ? 'created' : 'known')
    return reply.type('text/plain; charset=utf-8').send(`Success: LoRA adapter '${name}' added successfully.`)
  })

  app.post('/v1/unload_lora_adapter', { schema: schemas.unload }, async (request, reply) => {
    const { body, caller } = request
    const { lora_name: name } = body
    assertMayAlterAdapter(catalogue.state, caller, name)
    await residency.deleteAdapter(name, originOf(request))
    return reply.type('text/plain; charset=utf-8').send(`Success: LoRA adapter '${name}' removed successfully.`)
  })
}

/** Tenants import only what lies in a folder of their own: the rest of the store is others'. */
function importRoot(caller: Caller): string {
  return caller.role === 'admin' ? '' : `${IMPORT_FOLDER}/${caller.tenant}`
}

function isServed(catalogue: ServerDeps['catalogue'], name: string): boolean {
  return catalogue.newest(name) !== null
}
