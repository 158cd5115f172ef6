import type { JsonObject } from '../../core/json.ts'
import { TroupeError } from '../../core/errors.ts'
import { elementCount } from '../../safetensors/header.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { readTokens, readTunerConfig } from './fields.ts'
import { collectModules } from './tensors.ts'
import { planTokenRows } from './token-rows.ts'

const RULES = { read: ['token_indices'], ignored: ['init_weights'] }

/**
 * Reads rows of the embedding that were trained alone (PEFT's trainable tokens).
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseTrainableTokens(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const config = readTunerConfig(json, RULES)
  const tokens = readTokens('token_indices', json['token_indices'])
  const { copies } = collectModules(file, [], 'trained tokens')
  if (!copies.some(({ tokensOnly }) => tokensOnly)) {
    throw new TroupeError('invalid_adapter', `${file.file} holds no rows of trained tokens`, { param: file.file })
  }
  const values = copies.reduce((sum, { tensor }) => sum + elementCount(file.entry(tensor).shape), 0)
  return {
    method: 'trainable_tokens',
    baseModel: config.baseModel,
    outlines: copies.map(({ path }) => ({ layer: -1, site: path, rank: 0 })),
    parameters: values,
    values,
    virtualTokens: 0,
    plan: (info, weights) => {
      const tokenRows = planTokenRows(copies, { ...config, tokens }, file, info, weights)
      return { branches: [], gains: [], virtualTokens: null, tokenRows }
    },
  }
}
