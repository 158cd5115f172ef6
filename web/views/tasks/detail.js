import { call, get } from '../../core/api.js'
import { fill, h } from '../../core/dom.js'
import { ago, percent, shortDigest } from '../../core/format.js'
import { hrefOf } from '../../core/router.js'
import { bar } from '../../parts/bar.js'
import { attempt, toast } from '../../parts/toast.js'
import { mayAlterName } from '../adapters/detail.js'
import { canarySlider } from './canary.js'
import { shadowPanel } from './shadow.js'
import { versionPicker } from './version-picker.js'

/** One task. Returns how to leave it. */
export function taskDetail(element, name, onChanged) {
  const path = `/v1/tasks/${encodeURIComponent(name)}`
  const mayAlter = mayAlterName(name)
  let isOpen = true
  let closeShadow = () => {}
  void load()
  return () => {
    isOpen = false
    closeShadow()
  }

  async function load() {
    try {
      const task = await get(path, { quiet: false })
      if (isOpen) draw(task)
    } catch (error) {
      if (isOpen) fill(element, back(), h('p', { class: 'empty' }, error.message))
    }
  }

  /** Shows the task as a change left it, and offers the way back. */
  function changed({ task, previous }, text) {
    if (isOpen) draw(task)
    onChanged()
    toast(text, previous && { undo: () => restore(previous) })
  }

  async function restore(routes) {
    try {
      changed({ task: await call('PUT', path, { routes }) }, `${name} is where it was`)
    } catch (error) {
      toast(error.message, { isBad: true })
    }
  }

  function draw(task) {
    closeShadow()
    const shadow = shadowPanel(task, path, mayAlter, (next, text) => changed({ task: next }, text))
    closeShadow = shadow.close
    fill(
      element,
      back(),
      h(
        'header',
        { class: 'detail-head' },
        h('h2', { class: 'mono' }, name),
        h('span', { class: 'badge' }, `revision ${task.revision}`),
        mayAlter && rollbackButton(task),
      ),
      task.description && h('p', { class: 'soft' }, task.description),
      h(
        'section',
        { class: 'panel', 'aria-label': 'Routes' },
        h('h3', {}, 'Requests go to'),
        routeList(task.routes),
        mayAlter && canarySlider(task, path, changed),
      ),
      mayAlter &&
        h(
          'section',
          { class: 'panel', 'aria-label': 'Activate' },
          h('h3', {}, 'Activate a version'),
          activateForm(task),
        ),
      gatePanel(task),
      shadow.element,
      templatePanel(task),
      historyPanel(task),
    )
  }

  function rollbackButton({ history }) {
    const button = h(
      'button',
      { type: 'button', class: 'small', disabled: history.length === 0, on: { click: rollback } },
      'Roll back',
    )
    async function rollback() {
      const switched = await attempt(button, () => call('POST', `${path}/rollback`))
      if (switched) changed(switched, `Rolled back to ${routesText(switched.task.routes)}`)
    }
    return button
  }

  function activateForm(task) {
    const picker = versionPicker(task.routes[0]?.adapter ?? '')
    const button = h('button', { type: 'submit', class: 'primary' }, 'Activate')
    const form = h('form', { class: 'bar-line form-line' }, picker.elements, button)
    form.addEventListener('submit', async (event) => {
      event.preventDefault()
      const switched = await attempt(button, () => call('POST', `${path}/activate`, picker.choice()))
      if (switched) changed(switched, `${name} answers with ${routesText(switched.task.routes)}`)
    })
    return form
  }
}

function back() {
  return h('a', { class: 'back', href: hrefOf('tasks') }, '← All tasks')
}

/** `json@v2 90 %, json@v3 10 %` */
export function routesText(routes) {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0)
  if (routes.length === 0) return 'the base model'
  return routes
    .map(
      ({ adapter, version, weight }) =>
        `${adapter}@${version}${routes.length > 1 ? ` ${percent(weight / total)}` : ''}`,
    )
    .join(', ')
}

function routeList(routes) {
  if (routes.length === 0) return h('p', { class: 'soft' }, 'the base model')
  const total = routes.reduce((sum, { weight }) => sum + weight, 0) || 1
  return h(
    'ul',
    { class: 'routes' },
    routes.map(({ adapter, version, weight }) =>
      h(
        'li',
        {},
        h('a', { class: 'mono', href: hrefOf('adapters', adapter) }, `${adapter}@${version}`),
        bar(weight / total, `${percent(weight / total)} of the requests`),
        h('span', { class: 'share' }, percent(weight / total)),
      ),
    ),
  )
}

/** What a version must show in an evaluation before requests go to it. */
function gatePanel({ gate }) {
  if (!gate) return null
  const asks = [
    gate.min !== undefined && gate.min !== null && `at least ${gate.min}`,
    gate.not_worse_than && `not worse than the ${gate.not_worse_than} version`,
  ].filter(Boolean)
  return h(
    'section',
    { class: 'panel', 'aria-label': 'Gate' },
    h('h3', {}, 'Gate'),
    h(
      'p',
      {},
      `${gate.metric.replaceAll('_', ' ')}: ${asks.join(', ')}, with ${percent(gate.confidence ?? 0.95)} confidence, on `,
      h('code', {}, shortDigest(gate.set)),
    ),
    h(
      'p',
      { class: 'soft' },
      'A version that has not shown this is refused, with the numbers. ',
      h('a', { href: hrefOf('evaluations') }, 'Evaluations'),
    ),
  )
}

function templatePanel({ prompt, system, defaults }) {
  if (prompt === null && system === null && Object.keys(defaults).length === 0) return null
  const block = (title, text) =>
    text && [h('h4', {}, title), h('pre', { tabindex: '0', 'aria-label': title }, h('code', {}, text))]
  return h(
    'details',
    { class: 'panel' },
    h('summary', {}, 'Prompt and defaults'),
    block('Prompt', prompt),
    block('System message', system),
    block('Defaults', Object.keys(defaults).length > 0 && JSON.stringify(defaults, null, 2)),
  )
}

function historyPanel({ history }) {
  if (history.length === 0) return null
  return h(
    'section',
    { class: 'panel', 'aria-label': 'History' },
    h('h3', {}, 'Before'),
    h(
      'ol',
      { class: 'history' },
      history
        .toReversed()
        .map(({ revision, at, by, routes }) =>
          h(
            'li',
            {},
            h('span', { class: 'mono' }, routesText(routes)),
            h(
              'span',
              { class: 'soft' },
              'until revision ',
              String(revision),
              ', ',
              h('time', { datetime: at, title: at }, ago(at)),
              by && by !== '*' && ` by ${by}`,
            ),
          ),
        ),
    ),
  )
}
