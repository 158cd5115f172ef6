import { describe, expect, it } from 'vitest'
import { checkBaseName, namesSameBase } from '../../src/adapters/base-name.ts'
import { expectRefusal } from '../support/refusal.ts'

describe('the base model that an adapter names', () => {
  it.each([
    ['meta-llama/Llama-3.2-1B', '/models/llama-3.2-1b'],
    ['Qwen/Qwen3-0.6B', 'Qwen3-0.6B-GPTQ-Int8'],
    ['/home/ada/out/qwen3-0.6b/', 'Qwen3-0.6B'],
    ['C:\\models\\gemma-2-2b', 'google/gemma-2-2b'],
  ])('%s can be %s', (named, known) => expect(namesSameBase(named, ['other', known])).toBe(true))

  it.each([
    ['meta-llama/Llama-3.2-1B', 'Llama-3.2-10B'],
    ['meta-llama/Llama-3.2-1B', 'Llama-3.2'.concat('x')],
    ['mistralai/Mistral-7B-v0.1', 'Llama-3.2-1B'],
    ['/', 'Llama'],
  ])('%s is not %s', (named, known) => expect(namesSameBase(named, [known])).toBe(false))

  it('is refused with both names and what to do when it is another one', () => {
    expect(() => checkBaseName(null, ['llama'])).not.toThrow()
    const check = (): void => checkBaseName('org/mistral', ['llama', 'demo'])
    expectRefusal(check, 'base_mismatch', 'for "org/mistral", the base model here is "llama" or "demo"')
    expectRefusal(check, 'base_mismatch', '--allow-base-mismatch')
  })
})
