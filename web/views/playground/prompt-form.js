import { fill, freshId, h } from '../../core/dom.js'

const SAMPLE = 'Hello, the white camera arrived cracked and scratched. Order number NK-84597. Yours, Diana Schmidt'
const RAW = 'raw'
const CHAT = 'chat'
const TASK = 'task:'

/** The input and how it is to be answered. */
export function promptForm(onChange) {
  const on = { input: onChange, change: onChange }
  const kind = h(
    'select',
    { on },
    h('option', { value: RAW }, 'Raw prompt'),
    h('option', { value: CHAT }, 'Chat message'),
  )
  const tasks = h('optgroup', { label: 'Input of a task' })
  const text = h('textarea', { rows: '4', on, required: true, 'aria-label': 'Input' })
  const number = (label, attributes) => ({
    label,
    input: h('input', { type: 'number', inputmode: 'decimal', ...attributes, on }),
  })
  const numbers = {
    max_tokens: number('Tokens', { min: '1', value: '96' }),
    temperature: number('Temperature', { min: '0', max: '2', step: '0.1', value: '0' }),
    top_p: number('Top p', { min: '0.01', max: '1', step: '0.01', placeholder: '1' }),
    top_k: number('Top k', { min: '0', placeholder: 'all' }),
    seed: number('Seed', { placeholder: 'any' }),
  }
  const schema = h('textarea', {
    rows: '5',
    class: 'mono',
    on,
    spellcheck: 'false',
    placeholder: '{ "type": "object", "properties": { … } }',
  })
  const likelihoods = h('input', { type: 'checkbox', on })
  let offered = []
  text.value = SAMPLE
  const element = h(
    'div',
    { class: 'prompt' },
    labelled('Input as', kind),
    text,
    h(
      'div',
      { class: 'numbers' },
      Object.values(numbers).map(({ label, input }) => labelled(label, input)),
    ),
    h('details', {}, h('summary', {}, 'Structured output'), labelled('JSON Schema the answer is held to', schema)),
    h('label', { class: 'check' }, likelihoods, 'How likely each answer is under each mix'),
  )

  return {
    element,
    offerTasks(list) {
      offered = list
      fill(
        tasks,
        list.map(({ task }) => h('option', { value: TASK + task }, task)),
      )
      if (list.length > 0 && !tasks.isConnected) kind.append(tasks)
    },
    choose(task) {
      kind.value = TASK + task
      onChange()
    },
    /** What is wrong with it; null = nothing. */
    problem() {
      if (text.value.trim() === '') return 'Write an input first.'
      try {
        if (schema.value.trim() !== '') JSON.parse(schema.value)
        return null
      } catch (error) {
        return `The schema is no JSON: ${error.message}`
      }
    },
    /** The prompt or messages that it comes to. */
    asked() {
      const { task, input, ...asked } = inputFields(kind.value, text.value)
      if (task === undefined) return asked
      const template = offered.find((one) => one.task === task)?.prompt ?? '{input}'
      return { prompt: template.replace('{input}', () => input) }
    },
    /** Its part of the body of a comparison. */
    fields() {
      const given = Object.entries(numbers).filter(([, { input }]) => input.value !== '')
      return {
        ...inputFields(kind.value, text.value),
        ...Object.fromEntries(given.map(([name, { input }]) => [name, Number(input.value)])),
        ...(schemaOf(schema.value) !== undefined && {
          response_format: { type: 'json_schema', json_schema: { schema: schemaOf(schema.value) } },
        }),
        ...(likelihoods.checked && { likelihoods: true }),
      }
    },
  }
}

function inputFields(kind, text) {
  if (kind === RAW) return { prompt: text }
  if (kind === CHAT) return { messages: [{ role: 'user', content: text }] }
  return { task: kind.slice(TASK.length), input: text }
}

/** Undefined where there is none, or none yet. */
function schemaOf(text) {
  try {
    return text.trim() === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

function labelled(text, input) {
  const id = freshId('field')
  input.id = id
  return h('div', { class: 'field' }, h('label', { for: id }, text), input)
}
