import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import { ConfigFields } from '../families/config-fields.ts'
import { readAwq } from './awq.ts'
import { readCompressedTensors } from './compressed-tensors.ts'
import { readGptq } from './gptq.ts'
import type { Packing } from './packing.ts'

const METHODS: Readonly<Record<string, (config: ConfigFields) => Packing>> = {
  gptq: readGptq,
  awq: readAwq,
  'compressed-tensors': readCompressedTensors,
}

/**
 * How the checkpoint's linear layers are packed, from `quantization_config`; null when they are plain.
 *
 * @throws TroupeError `invalid_model` naming a method or a setting that is not supported
 */
export function readPacking(config: JsonObject): Packing | null {
  const field = config['quantization_config'] == null ? 'compression_config' : 'quantization_config'
  const settings = config[field]
  if (settings === undefined || settings === null) return null
  if (!isJsonObject(settings)) throw new ConfigFields(config).refuse(field, 'an object')
  const fields = new ConfigFields(settings, `config.json: ${field}`)
  const method = fields.raw('quant_method')
  if (typeof method === 'string' && Object.hasOwn(METHODS, method)) return METHODS[method]!(fields)
  const known = Object.keys(METHODS).join(', ')
  const text = `config.json: weights quantised by ${JSON.stringify(method ?? null)} are not supported; supported are ${known}, or take the model's original weights`
  throw new TroupeError('invalid_model', text, { param: field })
}
