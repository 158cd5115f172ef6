import { LLAMA_CPP_RULES } from './llama-cpp-rules.ts'
import { OPENAI_RULES } from './openai-rules.ts'
import type { FieldRule } from './rule.ts'
import { STRUCTURED_OUTPUT_RULES } from './structured-output.ts'
import { VLLM_RULES } from './vllm-rules.ts'

/** Every rule, by its field. */
export const FIELD_RULES: ReadonlyMap<string, readonly FieldRule[]> = byField([
  ...OPENAI_RULES,
  ...VLLM_RULES,
  ...LLAMA_CPP_RULES,
  ...STRUCTURED_OUTPUT_RULES,
])

function byField(rules: readonly FieldRule[]): ReadonlyMap<string, readonly FieldRule[]> {
  const found = new Map<string, FieldRule[]>()
  for (const rule of rules) found.set(rule.field, [...(found.get(rule.field) ?? []), rule])
  return found
}
