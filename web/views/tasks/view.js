import { get } from '../../core/api.js'
import { fill, freshId, h } from '../../core/dom.js'
import { percent } from '../../core/format.js'
import { onPulse } from '../../core/pulse.js'
import { hrefOf } from '../../core/router.js'
import { virtualList } from '../../parts/virtual-list.js'
import { taskDetail } from './detail.js'

const PAGE = 200
const ROW_HEIGHT = 52
const TYPING_MS = 150

/** Tasks: where their requests go, and how to change that. */
export function tasksView(main, argument) {
  let prefix = ''
  let current = ''
  let leave = () => {}
  const searchId = freshId('search')
  const search = h('input', {
    id: searchId,
    type: 'search',
    placeholder: 'Name begins with…',
    autocomplete: 'off',
    spellcheck: 'false',
  })
  const list = virtualList({
    label: 'Tasks',
    rowHeight: ROW_HEIGHT,
    fetchPage: (after) =>
      get(`/v1/tasks?${new URLSearchParams({ limit: PAGE, ...(after && { after }), ...(prefix && { prefix }) })}`),
    keyOf: ({ task }) => task,
    row: listRow,
    onPick: ({ task }) => (location.hash = hrefOf('tasks', task)),
    empty: 'No tasks. Activate a version to make one.',
  })
  const detail = h('section', { class: 'detail', 'aria-label': 'Task' })
  main.append(
    h('h1', { class: 'hidden' }, 'Tasks'),
    h(
      'div',
      { class: 'split' },
      h(
        'section',
        { class: 'panel list-panel', 'aria-label': 'All tasks' },
        h('label', { class: 'hidden', for: searchId }, 'Find tasks by the beginning of their name'),
        search,
        list.element,
      ),
      detail,
    ),
  )
  let typing = null
  search.addEventListener('input', () => {
    clearTimeout(typing)
    typing = setTimeout(() => {
      prefix = search.value.trim()
      void list.reload()
    }, TYPING_MS)
  })

  function open(name) {
    current = name
    leave()
    main.classList.toggle('has-detail', name !== '')
    list.choose(name)
    leave = () => {}
    if (name === '') fill(detail, h('p', { class: 'empty' }, 'Pick a task to see where its requests go.'))
    else leave = taskDetail(detail, name, () => list.reload())
  }

  let wasConnected = true
  const stop = onPulse(({ connected }) => {
    if (connected && !wasConnected) {
      void list.reload()
      open(current)
    }
    wasConnected = connected
  })
  void list.reload()
  open(argument)
  return { close: () => (stop(), leave()), move: open }
}

function listRow({ task, routes, shadow }) {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0)
  const shares = routes.map(
    ({ adapter, version, weight }) => `${adapter}@${version}${routes.length > 1 ? ` ${percent(weight / total)}` : ''}`,
  )
  return [
    h('span', { class: 'row-title mono' }, task),
    h('span', { class: 'row-facts mono' }, shares.join(', ') || 'base model'),
    routes.length > 1
      ? h('span', { class: 'badge is-warning' }, 'canary')
      : shadow && h('span', { class: 'badge' }, 'shadow'),
  ]
}
