import { fill, h } from '../../core/dom.js'
import { bytes, count, percent } from '../../core/format.js'
import { hrefOf } from '../../core/router.js'
import { bar } from '../../parts/bar.js'

/** Below this share of what is used a version is drawn together with the other small ones. */
const SMALLEST_SHARE = 0.004

/** The memory of the adapters, each as wide as its bytes, in the order in which they would be evicted. */
export function memoryMap() {
  const title = h('span', { class: 'map-title' })
  const strip = h('ul', { class: 'map', 'aria-label': 'Adapter memory, first what would be evicted first' })
  const gauge = h('div', { class: 'map-gauge' })
  const element = h(
    'section',
    { class: 'panel map-panel', 'aria-label': 'Adapter memory' },
    h('div', { class: 'map-head' }, h('h2', {}, 'Memory'), title, legend()),
    strip,
    gauge,
  )
  return {
    element,
    show({ budget_bytes: budget, bytes: used, versions, others, hits, loads, evictions }) {
      const asked = hits + loads
      title.textContent =
        `${bytes(used)} of ${bytes(budget)} · ${count(versions.length + others.versions)} versions · ` +
        `${asked === 0 ? 'no requests yet' : `${percent(hits / asked)} found in memory`} · ${count(evictions)} evicted`
      const scale = Math.max(used, 1)
      fill(gauge, bar(used / budget, `${percent(used / budget)} of the budget`))
      const wide = versions.filter((version) => version.bytes / scale >= SMALLEST_SHARE)
      const narrow = versions.filter((version) => version.bytes / scale < SMALLEST_SHARE)
      const rest = {
        count: narrow.length + others.versions,
        bytes: narrow.reduce((sum, one) => sum + one.bytes, others.bytes),
      }
      fill(
        strip,
        wide.map((version) => segment(version, scale)),
        rest.count > 0 &&
          h(
            'li',
            {
              class: 'map-part is-rest',
              style: { 'flex-grow': rest.bytes / scale },
              title: `${count(rest.count)} others, ${bytes(rest.bytes)}`,
            },
            `${count(rest.count)} others`,
          ),
        used === 0 && h('li', { class: 'map-part is-free' }, 'nothing in memory'),
      )
    },
  }
}

function segment({ name, version, bytes: size, pinned, leases }, scale) {
  const use = leases > 0 ? 'is-running' : pinned ? 'is-pinned' : 'is-idle'
  const what = leases > 0 ? `, ${leases} requests run with it` : pinned ? ', pinned' : ''
  const label = `${name}@${version}, ${bytes(size)}${what}`
  return h(
    'li',
    { class: `map-part ${use}`, style: { 'flex-grow': size / scale } },
    h('a', { href: hrefOf('adapters', name), title: label, 'aria-label': label }, h('span', { class: 'mono' }, name)),
  )
}

function legend() {
  const kinds = [
    ['is-running', 'running'],
    ['is-pinned', 'pinned'],
    ['is-idle', 'may be evicted'],
  ]
  return h(
    'span',
    { class: 'legend' },
    kinds.map(([kind, text]) => h('span', {}, h('i', { class: kind, 'aria-hidden': 'true' }), text)),
  )
}
