import { h } from '../core/dom.js'

const KINDS = { ready: 'is-good', rejected: 'is-bad', failed: 'is-bad', draining: 'is-warning', deleted: 'is-warning' }

/** The state of a version. */
export function stateBadge(state) {
  return h('span', { class: `badge ${KINDS[state] ?? ''}` }, state)
}
