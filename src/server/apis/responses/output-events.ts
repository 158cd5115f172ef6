import type { OutputItemBody, OutputMessageBody, OutputTextBody } from './schema.ts'

interface WireCall {
  readonly id: string
  readonly function: { readonly name: string; readonly arguments: string }
}

/**
 * The output of one response as it grows: items in order, each announced, filled and closed by events that are numbered.
 *
 *     output_item.added → content_part.added → output_text.delta … → output_text.done → content_part.done → output_item.done
 */
export class OutputEvents {
  readonly output: OutputItemBody[] = []
  readonly #id: string
  #sequence = 0
  #open: OutputMessageBody | null = null

  constructor(id: string) {
    this.#id = id
  }

  /** An event with its place in the stream. */
  of(type: string, fields: object): object {
    return { ...fields, type, sequence_number: this.#sequence++ }
  }

  text(delta: string, logprobs: OutputTextBody['logprobs']): object[] {
    const opening = this.#open ? [] : this.#openMessage()
    const part = this.#open!.content[0]!
    part.text += delta
    part.logprobs.push(...logprobs)
    return [...opening, this.of('response.output_text.delta', { ...this.#place(), delta, logprobs })]
  }

  /** A whole call: its arguments come in one piece. */
  call(call: WireCall): object[] {
    const closing = this.#closeMessage('completed')
    const place = { output_index: this.output.length }
    const { name, arguments: text } = call.function
    const item = {
      ...{ id: `fc_${this.#id}_${place.output_index}`, type: 'function_call' as const, status: 'completed' as const },
      ...{ call_id: call.id, name, arguments: text },
    }
    this.output.push(item)
    const at = { ...place, item_id: item.id }
    return [
      ...closing,
      this.of('response.output_item.added', { ...place, item: { ...item, status: 'in_progress', arguments: '' } }),
      this.of('response.function_call_arguments.delta', { ...at, delta: text }),
      this.of('response.function_call_arguments.done', { ...at, name, arguments: text }),
      this.of('response.output_item.done', { ...place, item }),
    ]
  }

  /** Closes what is open; an answer without anything is an empty message. */
  end(reason: 'stop' | 'length'): object[] {
    const empty = this.output.length === 0 ? this.#openMessage() : []
    return [...empty, ...this.#closeMessage(reason === 'length' ? 'incomplete' : 'completed')]
  }

  #openMessage(): object[] {
    const id = `msg_${this.#id}_${this.output.length}`
    const item: OutputMessageBody = { id, type: 'message', status: 'in_progress', role: 'assistant', content: [] }
    this.output.push(item)
    const added = this.of('response.output_item.added', { output_index: this.output.length - 1, item: { ...item } })
    const part: OutputTextBody = { type: 'output_text', text: '', annotations: [], logprobs: [] }
    item.content = [part]
    this.#open = item
    const announced = { ...part, logprobs: [] }
    return [added, this.of('response.content_part.added', { ...this.#place(), part: announced })]
  }

  #closeMessage(status: 'completed' | 'incomplete'): object[] {
    const item = this.#open
    if (!item) return []
    item.status = status
    const part = item.content[0]!
    const place = this.#place()
    this.#open = null
    return [
      this.of('response.output_text.done', { ...place, text: part.text, logprobs: part.logprobs }),
      this.of('response.content_part.done', { ...place, part }),
      this.of('response.output_item.done', { output_index: place.output_index, item }),
    ]
  }

  #place() {
    return { item_id: this.#open!.id, output_index: this.output.length - 1, content_index: 0 }
  }
}
