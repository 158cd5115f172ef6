import type { ErrorBody } from '../../chaos/scenarios/generation.ts'
import { pick } from '../../chaos/scenarios/scale.ts'
import { Refused } from '../../support/client.ts'
import type { RandomLoad } from './random.ts'
import { adapterAt, BASE, TASKS, versionAt } from './random-names.ts'

const MOST_LETTERS = 160
const MOST_TOKENS = 40
const MOST_MIXED = 3
const CANCELLED = 0.3
const CANCEL_MS = 80
const ALPHABET = 'abcdefghijklmnop qrstuvwxyz, '

interface Chosen {
  readonly path: string
  readonly body: object
}

/** One random request: whom, how much, how it is read, and whether and when it is given up. */
export async function requestAtRandom(load: RandomLoad): Promise<void> {
  const { client, random, counts } = load
  const { path, body } = choose(load)
  const signal = random() < CANCELLED ? AbortSignal.timeout(Math.ceil(random() * CANCEL_MS)) : undefined
  try {
    if (random() < 0.5) {
      const { status, body: answer } = await client.post<Partial<ErrorBody>>(path, body, signal)
      if (status === 200) counts.answered++
      else load.refused(path, status, answer.error)
      return
    }
    for await (const { error } of client.stream<Partial<ErrorBody>>(path, body, signal)) {
      if (error) return load.refused(path, 200, error)
    }
    counts.answered++
  } catch (error) {
    if (signal?.aborted === true) counts.cancelled++
    else if (error instanceof Refused) load.refused(path, error.status, errorIn(error))
    else load.failed(path, error)
  }
}

function errorIn({ text }: Refused): ErrorBody['error'] | undefined {
  return (JSON.parse(text) as Partial<ErrorBody>).error
}

function choose(load: RandomLoad): Chosen {
  const { random } = load
  const kind = random()
  const { name } = adapterAt(load)
  const sampling = samplingOf(random)
  if (kind < 0.15) return { path: `/v1/tasks/${pick(TASKS, random())}/generate`, body: sampling }
  const completion = { ...sampling, ...(random() < 0.15 && { echo: true, logprobs: 2 }) }
  const on = (model: string, more: object = {}): Chosen => ({
    path: '/v1/completions',
    body: { model, ...completion, ...more },
  })
  if (kind < 0.25) return on(pick(TASKS, random()))
  if (kind < 0.35) return on(BASE)
  if (kind < 0.6) return on(name)
  if (kind < 0.75) return on(`${name}@${versionAt(load, name)}`)
  return on(BASE, mixOf(load))
}

/** Two or three different adapters with scales, as a sum; or bottleneck modules one after the other. */
function mixOf({ random, adapters, counts }: RandomLoad): object {
  const isStack = random() < 0.4
  const mixable = adapters.filter((adapter) => (isStack ? adapter.stackable : adapter.mixable))
  const first = below(random, mixable.length)
  const length = isStack ? mixable.length : 2 + below(random, MOST_MIXED - 1)
  const mix = Array.from({ length }, (_, n) => {
    return { name: mixable[(first + n) % mixable.length]!.name, scale: 2 * random() - 0.5 }
  })
  counts.mixed++
  return { adapters: mix, ...(isStack && { composition: 'stack' }) }
}

function samplingOf(random: () => number): object {
  const letters = Array.from({ length: 1 + below(random, MOST_LETTERS) }, () => pick([...ALPHABET], random()))
  return {
    prompt: letters.join(''),
    max_tokens: 1 + below(random, MOST_TOKENS),
    ignore_eos: random() < 0.5,
    ...(random() < 0.5 ? { temperature: 0 } : { temperature: 1, top_p: 0.9, seed: below(random, 1000) }),
    ...(random() < 0.15 && { n: 2 + below(random, 2) }),
    ...(random() < 0.15 && { stop: ['e'] }),
  }
}

function below(random: () => number, limit: number): number {
  return Math.floor(random() * limit)
}
