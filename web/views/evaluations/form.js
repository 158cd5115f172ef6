import { call, get } from '../../core/api.js'
import { fill, freshId, h } from '../../core/dom.js'
import { attempt, toast } from '../../parts/toast.js'

const METRICS = ['exact_match', 'normalized_match', 'token_f1', 'rouge_l', 'json_fields']
const SAMPLE = '{"input": "My parcel has not arrived.", "expected": "Shipping"}'

/** Starts an evaluation of mixes on a set in JSON Lines, pasted or picked. */
export function evaluationForm(onMade) {
  const task = h('select', {}, h('option', { value: '' }, 'none'))
  const mixes = h('input', { class: 'mono', value: 'base', required: true, spellcheck: 'false' })
  const metric = h(
    'select',
    {},
    METRICS.map((name) => h('option', { value: name }, name.replaceAll('_', ' '))),
  )
  const items = h('textarea', { class: 'mono', rows: '5', placeholder: SAMPLE, required: true, spellcheck: 'false' })
  const file = h('input', {
    type: 'file',
    accept: '.jsonl,.json,.txt',
    on: { change: async () => (items.value = (await file.files[0]?.text()) ?? '') },
  })
  const button = h('button', { type: 'submit', class: 'primary' }, 'Evaluate')
  const form = h(
    'form',
    { class: 'prompt', 'aria-label': 'New evaluation' },
    field('Task whose prompt is used', task),
    field('Mixes, parted by commas', mixes),
    field('Score', metric),
    field('Set, one JSON object a line', items),
    field('… or from a file', file),
    button,
  )
  const details = h('details', { class: 'drop' }, h('summary', {}, 'New evaluation'), form)
  void get('/v1/tasks?limit=200')
    .then(({ data }) =>
      fill(
        task,
        h('option', { value: '' }, 'none'),
        data.map((one) => h('option', { value: one.task }, one.task)),
      ),
    )
    .catch((error) => toast(error.message, { isBad: true }))
  task.addEventListener('change', () => {
    if (mixes.value === 'base' && task.value !== '') mixes.value = `base, ${task.value}`
  })
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const made = await attempt(button, () =>
      call('POST', '/v1/evaluations', bodyOf(task.value, mixes.value, metric.value, items.value)),
    )
    if (!made) return
    details.open = false
    onMade(made)
  })
  return details
}

function bodyOf(task, mixes, metric, text) {
  const names = mixes.split(',').map((name) => name.trim())
  return {
    ...(task !== '' && { task }),
    mixes: names.filter((name) => name !== '').map((model) => ({ model })),
    metrics: [metric],
    items: itemsOf(text),
  }
}

/** @throws Error that names the line */
function itemsOf(text) {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return []
    try {
      return [JSON.parse(line)]
    } catch (error) {
      throw new Error(`Line ${index + 1} of the set is no JSON: ${error.message}`, { cause: error })
    }
  })
}

function field(text, input) {
  const id = freshId('field')
  input.id = id
  return h('div', { class: 'field' }, h('label', { for: id }, text), input)
}
