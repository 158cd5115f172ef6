import { describe, expect, it } from 'vitest'
import { checkBaseName, compareNames } from '../../src/adapters/base-name.ts'
import { expectRefusal } from '../support/refusal.ts'

const CACHE = '/root/.cache/huggingface/hub'

describe('the base model that an adapter names', () => {
  it.each([
    ['meta-llama/Llama-3.2-1B', '/models/llama-3.2-1b'],
    ['Qwen/Qwen3-0.6B', 'Qwen3-0.6B-GPTQ-Int8'],
    ['/home/ada/out/qwen3-0.6b/', 'Qwen3-0.6B'],
    ['C:\\models\\gemma-2-2b', 'google/gemma-2-2b'],
    ['meta-llama/Meta-Llama-3.1-8B-Instruct', 'Llama-3.1-8B-Instruct'],
    ['unsloth/Llama-3.2-1B-Instruct-unsloth-bnb-4bit', 'Llama-3.2-1B-Instruct'],
    ['unsloth/llama-3.2-1b-instruct-bnb-4bit', 'Llama-3.2-1B-Instruct-AWQ'],
    ['meta-llama/Llama-2-7b-hf', 'Llama-2-7b'],
    [`${CACHE}/models--Qwen--Qwen3-0.6B/snapshots/c1899de289a04d12100db370d81485cdf75e47ca`, 'Qwen3-0.6B'],
    ['Qwen/Qwen3-0.6B', `${CACHE}/models--Qwen--Qwen3-0.6B/snapshots/c1899de289a04d12100db370d81485cdf75e47ca`],
    [`${CACHE}/models--gpt2/snapshots/607a30d7`, 'gpt2'],
  ])('%s is %s', (named, known) => {
    expect(compareNames(named, ['other', known])).toBe('same')
    expect(checkBaseName(named, ['other', known], false)).toBeNull()
  })

  it.each([
    ['meta-llama/Llama-3.2-1B', 'Llama-3.2-1B-Instruct'],
    ['Qwen/Qwen3-8B-Base', 'Qwen3-8B-AWQ'],
    ['unsloth/Qwen2.5-7B-bnb-4bit', 'Qwen2.5-7B-Instruct'],
  ])('%s is a variant of %s: taken with a warning', (named, known) => {
    expect(compareNames(named, [known])).toBe('variant')
    expect(checkBaseName(named, [known], false)).toContain('another variant of the same model')
  })

  it.each([
    ['meta-llama/Llama-3.2-1B', 'Llama-3.2-10B'],
    ['meta-llama/Llama-3.2-1B', 'Llama-3.2'.concat('x')],
    ['mistralai/Mistral-7B-v0.1', 'Llama-3.2-1B'],
    ['/', 'Llama'],
  ])('%s is not %s', (named, known) => expect(compareNames(named, [known])).toBe('other'))

  it.each(['./base', '../merged', '/workspace/base', '~/models/x', 'D:\\base', 'out/run-3/merged'])(
    '%s is a path and names none: taken with a warning',
    (named) => expect(checkBaseName(named, ['llama'], false)).toContain(`the local path "${named}"`),
  )

  it('is refused with both names and what to do when it is another one, unless asked for', () => {
    expect(checkBaseName(null, ['llama'], false)).toBeNull()
    const check = (): unknown => checkBaseName('org/mistral', ['/models/llama', 'demo'], false)
    expectRefusal(check, 'base_mismatch', 'for "org/mistral", the base model here is "llama" or "demo"')
    expectRefusal(check, 'base_mismatch', '?allow_base_mismatch=true')
    expect(checkBaseName('org/mistral', ['llama'], true)).toContain('as was asked for')
  })
})
