import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { readRank } from '../config-fields.ts'
import { planKeysValues } from '../key-values.ts'
import type { ParsedAdapter } from '../parsed.ts'
import type { VirtualPlan } from '../plan.ts'
import { expectShape, readFinite, tensorValues } from '../values.ts'
import { checkPeftFields, readBaseModel } from './fields.ts'

/** What PEFT calls the virtual tokens, whichever way they were trained. */
const TENSOR = 'prompt_embeddings'

const RULES = {
  read: ['num_virtual_tokens', 'token_dim', 'num_layers', 'num_attention_heads'],
  ignored: [
    'encoder_dropout',
    'encoder_hidden_size',
    'encoder_num_layers',
    'encoder_reparameterization_type',
    'init_weights',
    'prefix_projection',
    'prompt_tuning_init',
    'prompt_tuning_init_state_dict_path',
    'prompt_tuning_init_text',
    'tokenizer_kwargs',
    'tokenizer_name_or_path',
  ],
  allowed: { num_transformer_submodules: [1] },
}

/** The fields of all these methods: how many virtual tokens, and for what model. */
interface VirtualConfig {
  readonly count: number
  readonly tokenDim: number
  readonly layers: number
  readonly heads: number
  readonly baseModel: string | null
}

/**
 * Reads a prompt tuning (Lester et al. 2021) or a P-tuning (Liu et al. 2021): vectors in place of embedded tokens. PEFT saves what the
 * encoder of a P-tuning gives.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parsePromptTuning(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const config = readConfig(json)
  const { count, tokenDim } = config
  readTensor(file, [count, tokenDim])
  const plan = (info: ModelInfo): VirtualPlan => {
    checkField('token_dim', tokenDim, info.hidden, info)
    const fault = info.longRope
      ? 'rotate what they have evaluated anew when a sequence grows long, and vectors are evaluated once'
      : info.edges.includes('embed_tokens')
        ? null
        : 'change what their embedding gives, and where trained vectors stand in that is not settled'
    if (fault !== null) {
      const text = `adapter_config.json: "peft_type" is ${String(json['peft_type'])}: base models of the family ${info.family} ${fault}`
      throw new TroupeError('unsupported_adapter', text, { param: 'peft_type' })
    }
    return { type: 'embeddings', count, values: tensorValues(file, TENSOR) }
  }
  return parsed('prompt_tuning', config, count * tokenDim, plan)
}

/**
 * Reads a prefix tuning (Li and Liang 2021): keys and values of every layer. PEFT saves what the projection of a prefix gives.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parsePrefixTuning(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const config = readConfig(json)
  const { count, tokenDim, layers, heads } = config
  const width = layers * 2 * tokenDim
  readTensor(file, [count, width])
  const plan = (info: ModelInfo): VirtualPlan => {
    checkField('num_attention_heads', heads, info.kvHeads, info)
    checkField('token_dim', tokenDim, info.kvHeads * info.headDim, info)
    return planKeysValues(() => readFinite(file, TENSOR), count, info, true)
  }
  return parsed('prefix_tuning', config, count * width, plan)
}

function parsed(
  method: ParsedAdapter['method'],
  { count, layers, baseModel }: VirtualConfig,
  values: number,
  plan: (info: ModelInfo) => VirtualPlan,
): ParsedAdapter {
  return {
    method,
    baseModel,
    outlines: [],
    parameters: values,
    values,
    virtualTokens: count,
    plan: (info) => {
      checkField('num_layers', layers, info.layers, info)
      if (count >= info.maxContext) {
        const text = `adapter_config.json: "num_virtual_tokens" is ${count}, the base model ${info.name} has room for ${info.maxContext} tokens`
        throw new TroupeError('base_mismatch', text, { param: 'num_virtual_tokens' })
      }
      return { branches: [], gains: [], virtualTokens: plan(info), tokenRows: null }
    },
  }
}

function readConfig(json: JsonObject): VirtualConfig {
  checkPeftFields(json, RULES)
  return {
    count: readRank('num_virtual_tokens', json['num_virtual_tokens']),
    tokenDim: readRank('token_dim', json['token_dim']),
    layers: readRank('num_layers', json['num_layers']),
    heads: readRank('num_attention_heads', json['num_attention_heads']),
    baseModel: readBaseModel(json),
  }
}

function readTensor(file: SafetensorsFile, shape: readonly number[]): void {
  const other = [...file.tensors.keys()].find((name) => name !== TENSOR)
  if (other !== undefined) {
    const text = `tensor "${other}" is no part of virtual tokens, which are "${TENSOR}" alone`
    throw new TroupeError('unsupported_adapter', text, { param: other })
  }
  expectShape(file, TENSOR, shape)
}

function checkField(field: string, found: number, expected: number, info: ModelInfo): void {
  if (found === expected) return
  const text = `adapter_config.json: "${field}" is ${found}, the base model ${info.name} has ${expected}`
  throw new TroupeError('base_mismatch', text, { param: field })
}
