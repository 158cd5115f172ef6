import { Agent, request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest, Agent as HttpsAgent } from 'node:https'

/** The server to send requests to. */
export interface Target {
  readonly url: string
  /** Sent as a bearer token. */
  readonly key?: string
}

/** One streamed completion as its client saw it; times are those of `performance.now()`. */
export interface StreamedCompletion {
  readonly startedAt: number
  /** When each token came, in order; tokens that came together have the same time. */
  readonly arrivals: readonly number[]
  readonly endedAt: number
  /** As the server counts them; what was seen where it does not say. */
  readonly completionTokens: number
  readonly promptTokens: number | null
  /** Troupe's `provenance`, where the server sends one. */
  readonly provenance: unknown
}

/** What of a chunk is read here. */
interface Chunk {
  readonly choices?: readonly { readonly text?: string; readonly token_ids?: readonly number[] }[]
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null
  readonly provenance?: unknown
  readonly error?: { readonly message?: string }
}

const AGENTS = { 'http:': new Agent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true }) }

/**
 * Sends a request to `/v1/completions` and follows its stream. On bare sockets: the client shares the machine with the server when both are
 * measured on one.
 *
 * @throws Error with the server's message when it does not answer with a stream
 */
export async function streamCompletion(
  { url, key }: Target,
  body: object,
  options: { readonly signal?: AbortSignal; readonly onToken?: () => void } = {},
): Promise<StreamedCompletion> {
  const startedAt = performance.now()
  const arrivals: number[] = []
  let usage: NonNullable<Chunk['usage']> | null = null
  let provenance: unknown = null

  const read = (chunk: Chunk): void => {
    if (chunk.error) throw new Error(`the stream broke off: ${chunk.error.message ?? 'no reason given'}`)
    const now = performance.now()
    for (const { text, token_ids: ids } of chunk.choices ?? []) {
      for (let n = ids?.length ?? (text ? 1 : 0); n > 0; n--) {
        arrivals.push(now)
        options.onToken?.()
      }
    }
    if (chunk.usage) usage = chunk.usage
    if (chunk.provenance) provenance = chunk.provenance
  }

  const payload = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } })
  const response = await post(new URL('/v1/completions', url), payload, key, options.signal)
  if (response.statusCode !== 200) throw new Error(await refusal(response))
  let rest = ''
  let done = false
  for await (const text of response.setEncoding('utf8') as AsyncIterable<string>) {
    const events = (rest + text).split('\n\n')
    rest = events.pop() ?? ''
    for (const event of events) {
      const data = event.startsWith('data: ') ? event.slice(6) : ''
      if (data === '[DONE]') done = true
      else if (data !== '') read(JSON.parse(data) as Chunk)
    }
  }
  if (!done) throw new Error('the stream ended early')
  const counted = usage as NonNullable<Chunk['usage']> | null
  return {
    ...{ startedAt, arrivals, provenance },
    endedAt: performance.now(),
    completionTokens: counted?.completion_tokens ?? arrivals.length,
    promptTokens: counted?.prompt_tokens ?? null,
  }
}

function post(url: URL, payload: string, key: string | undefined, signal?: AbortSignal): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:'
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(payload),
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
  }
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers, agent: AGENTS[secure ? 'https:' : 'http:'], ...(signal && { signal }) }
    const sent = (secure ? httpsRequest : httpRequest)(url, options, resolve)
    sent.on('error', reject)
    sent.end(payload)
  })
}

async function refusal(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of response.setEncoding('utf8') as AsyncIterable<string>) text += part
  const message = /"message":\s*("(?:[^"\\]|\\.)*")/.exec(text)?.[1]
  return `${response.statusCode}: ${message === undefined ? text.slice(0, 200) : (JSON.parse(message) as string)}`
}
