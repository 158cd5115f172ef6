import { formatByteSize } from '../config/byte-size.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { AdapterRecord } from '../catalogue/records.ts'
import type { TaskRecord } from '../catalogue/task.ts'
import { curlLine } from './shell.ts'

export interface Started {
  readonly url: string
  readonly info: ModelInfo
  readonly maxContext: number
  readonly maxBatch: number
  readonly adapters: readonly AdapterRecord[]
  readonly tasks: readonly TaskRecord[]
  readonly keyed: boolean
  readonly seconds: number
}

const EXAMPLES = 3
const GENERIC_INPUT =
  'Hello, the white camera arrived cracked and scratched. Order number NK-84597. Yours, Diana Schmidt'

/** Inputs by the first word of a task's prompt, such as `Review:\n{input}`. */
const INPUTS: Readonly<Record<string, string>> = {
  ticket: GENERIC_INPUT,
  review: 'The blue tent was delivered on a Monday. My whole family adores it.',
  question: 'Show me all orders under 72 euros, sorted by total.',
  notice: 'Please return the blue watch by 14 September 2026.',
}

/** What the server says when it listens: where, with what, and what to try. */
export function renderBanner(started: Started): string {
  const { info, url, adapters, tasks } = started
  const versions = adapters.reduce((sum, adapter) => sum + adapter.versions.length, 0)
  const facts = [
    ['address', url],
    ['model', `${info.name} (${info.family}, ${info.layers} layers, ${info.precision})`],
    ['batch', `${started.maxBatch} sequences of up to ${started.maxContext} tokens`],
    ['adapters', `${adapters.length} with ${versions} versions, ${formatByteSize(adapterBytes(adapters))}`],
    ['tasks', tasks.length === 0 ? 'none yet' : `${tasks.length}: ${listNames(tasks)}`],
    ['keys', started.keyed ? 'needed' : 'none: everybody may do everything'],
    ['console', `${url}/`],
    ['docs', `${url}/docs`],
  ]
  const lines = facts.map(([name, value]) => `  ${name!.padEnd(9)} ${value}`)
  return `\ntroupe is ready after ${started.seconds.toFixed(1)} s\n\n${lines.join('\n')}\n\nTry:\n\n${exampleLines(started).join('\n\n')}\n`
}

/** Requests that work as printed: tasks of the store or, without any, the base model. The second one streams. */
export function exampleLines({ url, info, tasks, keyed: withKey }: Started): readonly string[] {
  const reachable = url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
  if (tasks.length === 0)
    return [
      curlLine({ url: `${reachable}/v1/models`, withKey }),
      curlLine({
        url: `${reachable}/v1/completions`,
        body: { model: info.name, prompt: 'Hello', max_tokens: 32 },
        withKey,
      }),
    ]
  return variedTasks(tasks).map((task, index) => {
    const stream = index === 1
    const body = { input: INPUTS[promptWord(task)] ?? GENERIC_INPUT, ...(stream ? { stream } : {}) }
    return curlLine({ url: `${reachable}/v1/tasks/${encodeURIComponent(task.name)}/generate`, body, stream, withKey })
  })
}

/** Some tasks, of different kinds first. */
function variedTasks(tasks: readonly TaskRecord[]): readonly TaskRecord[] {
  const firstOfKind = tasks.filter(
    (task, index) => tasks.findIndex((other) => promptWord(other) === promptWord(task)) === index,
  )
  const others = tasks.filter((task) => !firstOfKind.includes(task))
  return [...firstOfKind, ...others].slice(0, EXAMPLES)
}

function promptWord(task: TaskRecord): string {
  return /^\w+/.exec(task.prompt ?? '')?.[0].toLowerCase() ?? ''
}

function adapterBytes(adapters: readonly AdapterRecord[]): number {
  return adapters.flatMap(({ versions }) => versions).reduce((sum, { bytes }) => sum + bytes, 0)
}

function listNames(tasks: readonly TaskRecord[]): string {
  const names = tasks.map(({ name }) => name)
  return names.length <= 12 ? names.join(', ') : `${names.slice(0, 12).join(', ')} …`
}
