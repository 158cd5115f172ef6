import { get } from '../../core/api.js'
import { fill, h } from '../../core/dom.js'
import { ago, percent } from '../../core/format.js'
import { onPulse } from '../../core/pulse.js'
import { hrefOf } from '../../core/router.js'
import { virtualList } from '../../parts/virtual-list.js'
import { evaluationDetail, statusBadge } from './detail.js'
import { evaluationForm } from './form.js'

const PAGE = 100
const ROW_HEIGHT = 52

/** Evaluations: mixes scored on sets, in the background. */
export function evaluationsView(main, argument) {
  let current = ''
  let leave = () => {}
  const list = virtualList({
    label: 'Evaluations',
    rowHeight: ROW_HEIGHT,
    fetchPage: (after) => get(`/v1/evaluations?${new URLSearchParams({ limit: PAGE, ...(after && { after }) })}`),
    keyOf: ({ id }) => id,
    row: listRow,
    onPick: ({ id }) => (location.hash = hrefOf('evaluations', id)),
    empty: 'No evaluations yet.',
  })
  const detail = h('section', { class: 'detail', 'aria-label': 'Evaluation' })
  const go = (id) => (list.reload(), (location.hash = hrefOf('evaluations', id)))
  main.append(
    h('h1', { class: 'hidden' }, 'Evaluations'),
    h(
      'div',
      { class: 'split' },
      h(
        'section',
        { class: 'panel list-panel', 'aria-label': 'All evaluations' },
        evaluationForm(({ id }) => go(id)),
        list.element,
      ),
      detail,
    ),
  )

  function open(id) {
    current = id
    leave()
    leave = () => {}
    main.classList.toggle('has-detail', id !== '')
    list.choose(id)
    if (id === '') fill(detail, h('p', { class: 'empty' }, 'Pick an evaluation to see its scores.'))
    else leave = evaluationDetail(detail, id, { onChanged: () => list.reload(), onMade: go })
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

function listRow({ name, status, progress, mixes, set, created_at: createdAt }) {
  const done = status === 'running' && progress.done !== null ? ` · ${percent(progress.done / progress.total)}` : ''
  return [
    h('span', { class: 'row-title' }, name),
    h('span', { class: 'row-facts' }, `${mixes.length} mixes · ${set.items} items · ${ago(createdAt)}${done}`),
    statusBadge(status),
  ]
}
