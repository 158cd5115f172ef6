import { call } from '../../core/api.js'
import { h } from '../../core/dom.js'
import { bytes, milliseconds } from '../../core/format.js'

const TIERS = { hot: 'in memory', warm: 'read, but not in the engine', cold: 'in the store' }

/** What a first request for a version would wait for, and what would have to leave. */
export async function planOf({ adapter, version }) {
  try {
    const {
      memory,
      load_ms: loadMs,
      adapters,
    } = await call('POST', '/v1/adapters/plan', { adapters: [{ name: adapter, version }] })
    const leaving = [
      ...memory.evicts.map(({ name, version: id }) => `${name}@${id}`),
      ...(memory.evicts_others > 0 ? [`${memory.evicts_others} of other tenants`] : []),
    ]
    return h(
      'section',
      { class: 'panel', 'aria-label': 'Plan' },
      h('h3', {}, 'If a request asked for ', h('span', { class: 'mono' }, `${adapter}@${version}`), ' now'),
      facts([
        ['It is', TIERS[adapters[0].tier]],
        ['It would wait', milliseconds(loadMs)],
        [
          'It needs',
          `${bytes(memory.needed_bytes)}, ${bytes(memory.free_bytes)} of ${bytes(memory.budget_bytes)} are free`,
        ],
        ['Would be evicted', leaving.length === 0 ? 'nothing' : h('span', { class: 'mono' }, leaving.join(', '))],
        ['Fits', memory.fits ? 'yes' : 'not beside what requests use now'],
      ]),
    )
  } catch (error) {
    return h('p', { class: 'error' }, error.message)
  }
}

/** Names and values. */
export function facts(rows) {
  return h(
    'dl',
    { class: 'facts' },
    rows.map(([term, value]) => [h('dt', {}, term), h('dd', {}, value)]),
  )
}
