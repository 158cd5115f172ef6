import { fill, h } from '../../core/dom.js'
import { percent } from '../../core/format.js'
import { onPulse } from '../../core/pulse.js'
import { hrefOf } from '../../core/router.js'
import { searchList } from '../../parts/search-list.js'
import { taskDetail } from './detail.js'

/** Tasks: where their requests go, and how to change that. */
export function tasksView(main, argument) {
  let current = ''
  let leave = () => {}
  const list = searchList({
    path: '/v1/tasks',
    search: 'Find tasks by the beginning of their name',
    label: 'Tasks',
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
      h('section', { class: 'panel list-panel', 'aria-label': 'All tasks' }, ...list.elements),
      detail,
    ),
  )
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
