import { fill, h } from '../../core/dom.js'
import { bytes, count, figure, percent } from '../../core/format.js'
import { hurryPulse, onPulse } from '../../core/pulse.js'
import { bar } from '../../parts/bar.js'
import { timeChart } from './chart.js'
import { ratesOf } from './rates.js'

const BEAT_MS = 1_000
const NO_ADAPTER = 'base model'

/** What the server does, second by second. */
export function liveView(main) {
  const charts = [
    timeChart('Tokens per second', [
      ['answers', 'decoded'],
      ['prompts', 'prompt'],
    ]),
    timeChart('Step time, ms', [['step', 'stepMs']]),
    timeChart('Sequences', [
      ['running', 'running'],
      ['waiting', 'waiting'],
    ]),
    timeChart('Found in memory, %', [['requests', 'hitShare']]),
  ]
  const mix = h('section', { class: 'panel', 'aria-label': 'Batch mix' })
  const queue = h('section', { class: 'panel', 'aria-label': 'Queue by tenant' })
  const memory = h('section', { class: 'panel', 'aria-label': 'Memory of the engine' })
  main.append(
    h('h1', { class: 'hidden' }, 'Live'),
    h(
      'div',
      { class: 'charts' },
      charts.map(({ element }) => element),
    ),
    h('div', { class: 'thirds' }, mix, queue, memory),
  )
  const stopHurry = hurryPulse(BEAT_MS)
  const stop = onPulse(({ figures, previous, connected, seconds }) => {
    if (!figures || !connected) return
    const rates = ratesOf(figures, previous, seconds)
    for (const chart of charts) chart.add(rates)
    showMix(mix, figures)
    showQueue(queue, figures.queue)
    showMemory(memory, figures)
  })
  return {
    close() {
      stop()
      stopHurry()
      for (const chart of charts) chart.close()
    },
  }
}

function showMix(element, { memory, engine }) {
  const running = memory.versions.filter(({ leases }) => leases > 0)
  const leased = running.reduce((sum, { leases }) => sum + leases, 0)
  const bare = Math.max(0, engine.running - leased)
  const rows = [
    ...running.map(({ name, version, leases }) => [`${name}@${version}`, leases]),
    ...(bare > 0 ? [[NO_ADAPTER, bare]] : []),
  ]
  const most = Math.max(1, ...rows.map(([, number]) => number))
  fill(
    element,
    h('h2', {}, `In the batch: ${engine.running} of ${engine.max_batch}`),
    rows.length === 0
      ? h('p', { class: 'soft' }, 'nothing runs')
      : h(
          'ul',
          { class: 'routes' },
          rows
            .sort((a, b) => b[1] - a[1])
            .map(([name, number]) =>
              h(
                'li',
                {},
                h('span', { class: 'mono' }, name),
                bar(number / most, `${number} requests`),
                h('span', { class: 'share' }, count(number)),
              ),
            ),
        ),
  )
}

function showQueue(element, { waiting, running, tenants }) {
  fill(
    element,
    h('h2', {}, `Queue: ${waiting} waiting, ${running} running`),
    tenants.length === 0
      ? h('p', { class: 'soft' }, 'nobody waits')
      : h(
          'table',
          {},
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              ['Tenant', 'Waiting', 'Running'].map((text) => h('th', { scope: 'col' }, text)),
            ),
          ),
          h(
            'tbody',
            {},
            tenants.map((one) =>
              h(
                'tr',
                {},
                h('th', { scope: 'row' }, one.tenant === '*' ? 'everybody' : one.tenant),
                h('td', { class: 'number' }, count(one.waiting)),
                h('td', { class: 'number' }, count(one.running)),
              ),
            ),
          ),
        ),
  )
}

function showMemory(element, { engine, memory }) {
  const pages = engine.kv_pages || 1
  const line = (title, share, text) => [h('dt', {}, title), h('dd', {}, share !== null && bar(share, text), text)]
  fill(
    element,
    h('h2', {}, 'Memory'),
    h(
      'dl',
      { class: 'facts' },
      line('Base model', null, bytes(engine.weight_bytes)),
      line('Adapters', memory.bytes / memory.budget_bytes, `${bytes(memory.bytes)} of ${bytes(memory.budget_bytes)}`),
      line(
        'KV pages',
        engine.kv_pages_used / pages,
        `${percent(engine.kv_pages_used / pages)} used, ${percent(engine.kv_pages_cached / pages)} kept, of ${bytes(engine.kv_bytes)}`,
      ),
      line('Steps', null, `${count(engine.steps)}, ${figure(engine.busy_seconds)} s busy`),
    ),
  )
}
