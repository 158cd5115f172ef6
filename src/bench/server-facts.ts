import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject } from '../core/json.ts'
import type { Target } from './completion-stream.ts'

/** Text of which the prompts are made, in tokens of the server. */
const WORDS =
  'The quick brown fox jumps over the lazy dog while seven careful authors write many short letters about rivers, bread and distant towns.'

/** The names of all that `model` can be on a server, the base first. @throws TroupeError `invalid_request` when it does not answer as expected */
export async function listModels(target: Target): Promise<string[]> {
  const body = await ask(target, 'GET', '/v1/models')
  const data = body?.data
  if (!Array.isArray(data))
    throw refusal(`${target.url}/v1/models does not list models: is this an OpenAI-compatible server?`)
  return data.filter(isJsonObject).flatMap(({ id }) => (typeof id === 'string' ? [id] : []))
}

/** Token ids of ordinary words; null where the server has no `/v1/tokenize`. */
export async function wordTokens(target: Target): Promise<number[] | null> {
  const body = await ask(target, 'POST', '/v1/tokenize', { prompt: WORDS, add_special_tokens: false })
  const tokens = body?.tokens
  return Array.isArray(tokens) && tokens.length > 0 ? tokens.map(Number) : null
}

/** A prompt of that many words, for servers that only take text. */
export function wordText(length: number, random: () => number): string {
  const words = WORDS.split(' ')
  return Array.from({ length }, () => words[Math.floor(random() * words.length)]!).join(' ')
}

/** The names that a list of names and patterns (`lora-*`) stands for, in its order. @throws TroupeError `invalid_request` for one without a match */
export function matchModels(patterns: readonly string[], known: readonly string[]): string[] {
  const names = patterns.flatMap((pattern) => {
    if (!pattern.includes('*')) return [pattern]
    const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    // A version is no model of its own in a mix: it would count twice.
    const found = known.filter((name) => new RegExp(`^${parts.join('.*')}$`).test(name) && !name.includes('@'))
    if (found.length === 0) throw refusal(`--models ${pattern} fits none of the server’s ${known.length} models`)
    return found
  })
  return [...new Set(names)]
}

/** Null for a `404`. */
async function ask({ url, key }: Target, method: string, path: string, body?: object): Promise<JsonObject | null> {
  const headers = {
    ...(body && { 'content-type': 'application/json' }),
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
  }
  let response: Response
  try {
    response = await fetch(new URL(path, url), { method, headers, ...(body && { body: JSON.stringify(body) }) })
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause)
    throw refusal(`no server answers at ${url}: ${reason}`, cause)
  }
  const text = await response.text()
  if (response.status === 404) return null
  if (!response.ok) throw refusal(`${url}${path} answers ${response.status}: ${text.slice(0, 200)}`)
  const json: unknown = parse(text)
  return isJsonObject(json) ? json : null
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function refusal(message: string, cause?: unknown): TroupeError {
  return new TroupeError('invalid_request', message, { param: '--url', cause })
}
