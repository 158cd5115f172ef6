import { get, stream } from '../../core/api.js'
import { fill, freshId, h } from '../../core/dom.js'
import { toast } from '../../parts/toast.js'
import { answers } from './answers.js'
import { codeSamples } from './code.js'
import { mixEditor } from './mix-editor.js'
import { promptForm } from './prompt-form.js'

const MOST_MIXES = 4
/** Tasks among which a good first comparison is looked for. */
const LOOKED_AT = 12

/** Up to four mixes answer the same input, side by side. */
export function playgroundView(main, argument) {
  const namesId = freshId('names')
  const names = h('datalist', { id: namesId })
  const prompt = promptForm(() => show())
  const cards = h('div', { class: 'mixes' })
  const add = h('button', { type: 'button', class: 'small', on: { click: () => addMix() } }, '+ Mix')
  const run = h('button', { type: 'submit', class: 'primary' }, 'Run')
  const stop = h('button', { type: 'button', hidden: true, on: { click: () => running?.abort() } }, 'Stop')
  const result = answers()
  const code = codeSamples()
  const editors = []
  let running = null

  const form = h(
    'form',
    { class: 'play', 'aria-label': 'Comparison', on: { submit: compare } },
    h('section', { class: 'panel prompt-panel', 'aria-label': 'Input' }, prompt.element),
    h(
      'section',
      { class: 'mixes-panel', 'aria-label': 'Mixes' },
      h('div', { class: 'bar-line' }, h('h2', {}, 'Mixes'), add, h('span', { class: 'space' }), stop, run),
      cards,
    ),
  )
  main.append(h('h1', { class: 'hidden' }, 'Playground'), names, form, result.element, code.element)

  function addMix(members = []) {
    const editor = mixEditor({ namesId, onChange: show, onNames: suggest, onRemove: () => remove(editor) }, members)
    editors.push(editor)
    show()
  }

  function remove(editor) {
    editors.splice(editors.indexOf(editor), 1)
    show()
  }

  function show() {
    for (const [index, editor] of editors.entries()) {
      editor.place(index, editors.length > 1)
      if (cards.children[index] !== editor.element) cards.insertBefore(editor.element, cards.children[index] ?? null)
    }
    for (const child of [...cards.children].slice(editors.length)) child.remove()
    add.hidden = editors.length >= MOST_MIXES
    code.show(
      body(),
      editors.map((editor) => editor.mix()),
      prompt.asked(),
    )
  }

  function body() {
    return { ...prompt.fields(), mixes: editors.map((editor) => editor.mix()) }
  }

  async function suggest(prefix) {
    const query = new URLSearchParams({ limit: 20, ...(prefix && { prefix }) })
    const found = await get(`/v1/adapters?${query}`).catch(() => ({ data: [] }))
    fill(
      names,
      h('option', { value: 'base' }),
      found.data.map(({ name }) => h('option', { value: name })),
    )
  }

  async function compare(event) {
    event.preventDefault()
    const problem = prompt.problem()
    if (problem) return toast(problem, { isBad: true })
    running?.abort()
    const controller = (running = new AbortController())
    run.disabled = true
    stop.hidden = false
    result.begin(editors.length)
    try {
      for await (const { name, data } of stream('/v1/compare', { ...body(), stream: true }, controller.signal))
        result.take(name, data)
    } catch (error) {
      result.fail(controller.signal.aborted ? 'Stopped.' : error.message)
    } finally {
      run.disabled = false
      stop.hidden = true
    }
  }

  form.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit()
  })

  void begin()
  async function begin() {
    void suggest('')
    const { data: tasks } = await get('/v1/tasks?limit=200').catch(() => ({ data: [] }))
    prompt.offerTasks(tasks)
    if (argument) {
      const task = tasks.find(({ routes }) => routes.some(({ adapter }) => adapter === argument))
      if (task) prompt.choose(task.task)
      return start([argument])
    }
    const first = await firstComparison(tasks)
    if (first) prompt.choose(first.task)
    start(first?.adapters ?? [])
  }

  function start(adapters) {
    addMix()
    for (const name of adapters.slice(0, MOST_MIXES - 1)) addMix([{ name, scale: 1 }])
  }

  return { close: () => running?.abort() }
}

/** The task with the most adapters to compare: its own, and those whose names begin as its own does. */
async function firstComparison(tasks) {
  const routed = tasks.filter(({ routes }) => routes.length > 0).slice(0, LOOKED_AT)
  const found = await Promise.all(
    routed.map(async ({ task, routes }) => {
      const prefix = routes[0].adapter
      const { data } = await get(`/v1/adapters?${new URLSearchParams({ limit: MOST_MIXES, prefix })}`).catch(() => ({
        data: [],
      }))
      const ready = data.filter(({ versions }) => versions.some(({ state }) => state === 'ready'))
      return { task, adapters: ready.map(({ name }) => name) }
    }),
  )
  return found.reduce((best, one) => (best && best.adapters.length > one.adapters.length ? best : one), undefined)
}
