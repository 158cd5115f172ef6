import type { Client } from '../../support/client.ts'

/** Prompts of different lengths. */
export const PROMPTS = [
  'Bruno sold',
  'The blue watch',
  'Maria Lopez asked where the',
  'A',
  'Which products are',
] as const

/** What a generation gave, and by which version. */
export interface Generated {
  readonly text: string
  /** Digests of the mix the answer says it was made by. */
  readonly digests: readonly string[]
}

export interface GenerateBody {
  readonly choices: readonly { readonly text: string }[]
  readonly provenance: { readonly adapters: readonly { readonly version: string; readonly digest: string }[] }
}

export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null }
}

interface Chunk {
  readonly choices: readonly { readonly text: string }[]
  readonly provenance?: GenerateBody['provenance']
}

/** A request with a definite answer. */
export function greedy(prompt: string, maxTokens: number): object {
  return { max_tokens: maxTokens, temperature: 0, ignore_eos: true, prompt }
}

/** Runs a task, streamed or not. Throws what the server says when it does not answer 200. */
export async function runTask(
  client: Client,
  task: string,
  prompt: string,
  maxTokens: number,
  streamed = false,
): Promise<Generated> {
  const path = `/v1/tasks/${task}/generate`
  if (!streamed) return read(await client.post<GenerateBody | ErrorBody>(path, greedy(prompt, maxTokens)))
  let text = ''
  let digests: readonly string[] = []
  for await (const chunk of client.stream<Chunk>(path, greedy(prompt, maxTokens))) {
    text += chunk.choices.map((choice) => choice.text).join('')
    if (chunk.provenance) digests = chunk.provenance.adapters.map(({ digest }) => digest)
  }
  return { text, digests }
}

/** Completes a prompt with an adapter, a version (`name@v2`) or the base model. */
export async function complete(client: Client, model: string, prompt: string, maxTokens: number): Promise<Generated> {
  return read(await client.post<GenerateBody | ErrorBody>('/v1/completions', { model, ...greedy(prompt, maxTokens) }))
}

function read({ status, body }: { status: number; body: GenerateBody | ErrorBody }): Generated {
  if ('error' in body) throw new Error(`${status} ${body.error.code}: ${body.error.message}`)
  return {
    text: body.choices.map(({ text }) => text).join(''),
    digests: body.provenance.adapters.map(({ digest }) => digest),
  }
}

/** What every version answers to every prompt, found out while nothing else happens to it. Keys are digests; `''` is the base. */
export class References {
  readonly #texts = new Map<string, readonly string[]>()
  readonly #maxTokens: number

  constructor(maxTokens: number) {
    this.#maxTokens = maxTokens
  }

  get size(): number {
    return this.#texts.size
  }

  /** Asks the version `model` for its answers, once. */
  async learn(client: Client, model: string, digest: string): Promise<void> {
    if (this.#texts.has(digest)) return
    const answers: Generated[] = []
    for (const prompt of PROMPTS) answers.push(await complete(client, model, prompt, this.#maxTokens))
    if (!answers.every(({ digests }) => digests.join() === digest)) throw new Error(`${model} is not ${digest}`)
    this.#texts.set(
      digest,
      answers.map(({ text }) => text),
    )
  }

  /** Versions that answer alike could be mixed up without being noticed. */
  allDiffer(): boolean {
    return new Set([...this.#texts.values()].map((texts) => texts.join('\u0000'))).size === this.#texts.size
  }

  /** Null if the answer is what its version answers; otherwise what is wrong. */
  fault(promptIndex: number, { text, digests }: Generated): string | null {
    const expected = this.#texts.get(digests.join())?.[promptIndex]
    if (expected === undefined) return `an answer by ${digests.join() || 'the base'}, which was never a target`
    return text === expected ? null : `an answer that says it is by ${digests.join()} but is not: ${text}`
  }
}
