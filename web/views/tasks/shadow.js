import { call, get } from '../../core/api.js'
import { fill, h } from '../../core/dom.js'
import { count, percent } from '../../core/format.js'
import { bar } from '../../parts/bar.js'
import { attempt } from '../../parts/toast.js'
import { versionPicker } from './version-picker.js'

const LOOK_MS = 2_000

/** How the version behind the answers compares with them. `close` ends looking. */
export function shadowPanel(task, path, mayAlter, changed) {
  const body = h('div', { class: 'shadow' })
  const element = h('section', { class: 'panel', 'aria-label': 'Shadow' }, h('h3', {}, 'Shadow'), body)
  let timer = null
  let isClosed = false
  if (task.shadow) void look()
  else fill(body, h('p', { class: 'soft' }, 'No version runs behind the answers.'), mayAlter && startForm())

  async function look() {
    const counts = await get(`${path}/shadow`).catch(() => null)
    if (isClosed) return
    if (counts) fill(body, agreement(counts), mayAlter && stopButton())
    timer = setTimeout(look, LOOK_MS)
  }

  function startForm() {
    const picker = versionPicker(task.routes[0]?.adapter ?? '')
    const button = h('button', { type: 'submit', class: 'small' }, 'Start shadow')
    const form = h('form', { class: 'bar-line form-line', 'aria-label': 'Shadow' }, picker.elements, button)
    form.addEventListener('submit', async (event) => {
      event.preventDefault()
      const next = await attempt(button, () => call('PUT', path, { shadow: picker.choice() }))
      if (next) changed(next, 'The shadow runs')
    })
    return form
  }

  function stopButton() {
    const button = h('button', { type: 'button', class: 'small', on: { click: stop } }, 'Stop shadow')
    async function stop() {
      const next = await attempt(button, () => call('PUT', path, { shadow: null }))
      if (next) changed(next, 'The shadow has ended')
    }
    return button
  }

  return {
    element,
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}

function agreement({ adapter, version, sample, equal, different, failed, dropped, tokens, agreed_tokens: agreed }) {
  const compared = equal + different
  const line = (title, share, text) => [h('dt', {}, title), h('dd', {}, share !== null && bar(share, text), text)]
  return [
    h('p', {}, h('span', { class: 'mono' }, `${adapter}@${version}`), ` runs ${percent(sample)} of the requests again`),
    h(
      'dl',
      { class: 'facts' },
      line(
        'Same answer',
        compared > 0 ? equal / compared : null,
        compared > 0 ? `${percent(equal / compared)} of ${count(compared)}` : 'nothing compared yet',
      ),
      tokens > 0 &&
        line('Tokens before the first difference', agreed / tokens, `${percent(agreed / tokens)} of ${count(tokens)}`),
      failed + dropped > 0 &&
        line('Not compared', null, `${count(failed)} failed, ${count(dropped)} left out under load`),
    ),
  ]
}
