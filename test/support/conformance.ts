import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Answer, Client } from './client.ts'

/** Written by transformers, peft and adapters: see test/fixtures/generate/README.md. */
interface Expected {
  readonly family: string
  readonly cases: readonly {
    readonly name: string
    readonly mix: readonly { readonly adapter: string; readonly scale: number }[]
    readonly composition?: 'stack' | 'average'
    readonly prompts: readonly {
      readonly tokens: readonly number[]
      readonly prompt_logprobs: readonly (number | null)[]
      readonly greedy: readonly number[]
      readonly greedy_logprobs: readonly number[]
    }[]
  }[]
}

type Case = Expected['cases'][number]

/** One prompt of one case. */
export interface Sample extends Pick<Case, 'mix' | 'composition'> {
  readonly name: string
  readonly prompt: Case['prompts'][number]
}

/** A folder of reference results: a model, adapters, and what the libraries answer. */
export interface ReferenceFolder {
  readonly family: string
  readonly model: string
  readonly cases: readonly Case[]
  /** Folders of adapters by name. */
  readonly adapters: ReadonlyMap<string, string>
  /** Folders that must be refused, by name. */
  readonly refused: ReadonlyMap<string, string>
}

/** What Troupe answers, as far as it is compared. */
export interface Completion {
  readonly choices: readonly {
    readonly token_ids: readonly number[]
    readonly logprobs: { readonly token_logprobs: readonly (number | null)[] }
  }[]
}

/** Largest allowed difference of log-probabilities. */
export const TOLERANCE = 1e-3

/** Reads a folder of test/fixtures/conformance. A folder without a model of its own names another's in `model.txt`. */
export function readReference(dir: string): ReferenceFolder {
  const expected = JSON.parse(readFileSync(join(dir, 'expected.json'), 'utf8')) as Expected
  const link = join(dir, 'model.txt')
  const model = join(dir, existsSync(link) ? readFileSync(link, 'utf8').trim() : 'model')
  const folders = (name: string): ReadonlyMap<string, string> => {
    const parent = join(dir, name)
    return new Map(existsSync(parent) ? readdirSync(parent).map((child) => [child, join(parent, child)]) : [])
  }
  const { family, cases } = expected
  return { family, model, cases, adapters: folders('adapters'), refused: folders('refused') }
}

export function samplesOf(cases: readonly Case[]): Sample[] {
  return cases.flatMap(({ name, mix, composition, prompts }) =>
    prompts.map((prompt, index) => ({
      name: `${name} #${index}`,
      mix,
      ...(composition === undefined ? {} : { composition }),
      prompt,
    })),
  )
}

/** One request: log-probabilities of the prompt, then of the greedy tokens. */
export async function complete(client: Client, { mix, composition, prompt }: Sample): Promise<Answer<Completion>> {
  return client.post('/v1/completions', {
    model: 'model',
    prompt: prompt.tokens,
    adapters: mix.map(({ adapter, scale }) => ({ name: adapter, scale })),
    ...(composition === undefined ? {} : { composition }),
    max_tokens: prompt.greedy.length,
    temperature: 0,
    echo: true,
    logprobs: 0,
    ignore_eos: true,
    return_token_ids: true,
  })
}

/** How far an answer is from the reference: largest difference of log-probabilities, and whether the greedy tokens are the same. */
export function deviation({ prompt }: Sample, { choices }: Completion): { logprobs: number; sameTokens: boolean } {
  const { token_ids: tokens, logprobs } = choices[0]!
  const reference = [...prompt.prompt_logprobs, ...prompt.greedy_logprobs]
  const found = logprobs.token_logprobs
  if (found.length !== reference.length) throw new Error(`${found.length} log-probabilities, not ${reference.length}`)
  const differences = reference.map((value, i) =>
    value === null ? Number(found[i] !== null) : Math.abs(found[i]! - value),
  )
  return {
    logprobs: Math.max(...differences),
    sameTokens: tokens.length === prompt.greedy.length && tokens.every((token, i) => token === prompt.greedy[i]),
  }
}

/** The same samples so that neighbours in a batch come from different cases, and every case meets several others. */
export function shuffled(samples: readonly Sample[]): Sample[] {
  const strides = [7, 11, 13, 17]
  const stride = strides.find((step) => samples.length % step !== 0)
  if (stride === undefined) throw new Error(`no stride reaches all of ${samples.length} samples`)
  return samples.map((_, i) => samples[(i * stride) % samples.length]!)
}
