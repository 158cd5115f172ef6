import { call, get } from '../../core/api.js'
import { fill, h } from '../../core/dom.js'
import { bytes, count, figure, percent, shortDigest } from '../../core/format.js'
import { hrefOf } from '../../core/router.js'
import { bar } from '../../parts/bar.js'
import { confirmed } from '../../parts/confirm.js'
import { attempt } from '../../parts/toast.js'
import { facts } from '../adapters/plan.js'
import { intervalBar } from './interval-bar.js'

const LOOK_MS = 1_500
const KINDS = { done: 'is-good', failed: 'is-bad', cancelled: 'is-warning' }
const ENDED = ['done', 'failed', 'cancelled']
/** Beyond one in so many, a difference is shown as one. */
const SIGNIFICANT = 0.05

export function statusBadge(status) {
  return h('span', { class: `badge ${KINDS[status] ?? ''}` }, status)
}

/** One evaluation, looked at until it has ended. Returns how to leave it. */
export function evaluationDetail(element, id, { onChanged, onMade }) {
  const path = `/v1/evaluations/${id}`
  let timer = null
  let isOpen = true
  let wasRunning = false
  void look(false)
  return () => {
    isOpen = false
    clearTimeout(timer)
  }

  async function look(quiet) {
    try {
      const evaluation = await get(path, { quiet })
      if (!isOpen) return
      draw(evaluation)
      const isRunning = !ENDED.includes(evaluation.status)
      if (isRunning) timer = setTimeout(() => void look(true), LOOK_MS)
      else if (wasRunning) onChanged()
      wasRunning = isRunning
    } catch (error) {
      if (isOpen) fill(element, back(), h('p', { class: 'empty' }, error.message))
    }
  }

  function draw(evaluation) {
    const { name, status, reason, progress, task, set, mixes } = evaluation
    const share = (progress.done ?? 0) / progress.total
    fill(
      element,
      back(),
      h(
        'header',
        { class: 'detail-head' },
        h('h2', {}, name),
        statusBadge(status),
        ENDED.includes(status)
          ? [action('Run again', 'POST', '/rerun'), removeButton()]
          : action('Cancel', 'POST', '/cancel'),
      ),
      reason && h('p', { class: 'error' }, reason),
      !ENDED.includes(status) &&
        h(
          'div',
          { class: 'panel' },
          bar(share, `${percent(share)} done`),
          h(
            'p',
            { class: 'soft' },
            progress.done === null
              ? 'another server runs it'
              : `${count(progress.done)} of ${count(progress.total)} answers`,
          ),
        ),
      facts([
        ['Task', task ? h('a', { class: 'mono', href: hrefOf('tasks', task) }, task) : 'none'],
        ['Set', [h('code', { title: set.digest }, shortDigest(set.digest)), `, ${count(set.items)} items`]],
        ['Confidence', percent(evaluation.confidence)],
      ]),
      scoreTable(evaluation),
      evaluation.comparisons.length > 0 && comparisonTable(evaluation.comparisons, mixes),
    )
  }

  function action(text, method, end) {
    const button = h('button', { type: 'button', class: 'small', on: { click: run } }, text)
    async function run() {
      const made = await attempt(button, () => call(method, path + end))
      if (!made) return
      if (made.id === id) void look(true)
      else onMade(made.id)
      onChanged()
    }
    return button
  }

  function removeButton() {
    const button = h('button', { type: 'button', class: 'small', on: { click: remove } }, 'Delete')
    async function remove() {
      if (!(await confirmed('Delete this evaluation?', 'Its answers and scores go.', 'Delete'))) return
      if ((await attempt(button, async () => (await call('DELETE', path)) ?? 'gone')) === null) return
      onMade('')
    }
    return button
  }
}

function back() {
  return h('a', { class: 'back', href: hrefOf('evaluations') }, '← All evaluations')
}

function scoreTable({ mixes, metrics, confidence }) {
  const isScored = mixes.some((mix) => Object.keys(mix.metrics).length > 0)
  const columns = ['Mix', ...(isScored ? metrics : []), 'Failed', 'Tokens/s', 'Memory', 'Parameters']
  const largest = (metric) => Math.max(1e-9, ...mixes.map((mix) => mix.metrics[metric]?.high ?? 0))
  return region(
    'Scores',
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        columns.map((text) => h('th', { scope: 'col' }, text.replaceAll('_', ' '))),
      ),
    ),
    h(
      'tbody',
      {},
      mixes.map((mix) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row', class: 'mono' }, mix.label),
          isScored &&
            metrics.map((metric) =>
              h(
                'td',
                { class: 'number score' },
                mix.metrics[metric]
                  ? [figure(mix.metrics[metric].value), intervalBar(mix.metrics[metric], largest(metric), confidence)]
                  : '–',
              ),
            ),
          h('td', { class: 'number' }, count(mix.failed)),
          h('td', { class: 'number' }, figure(mix.tokens_per_second)),
          h('td', { class: 'number' }, bytes(mix.bytes)),
          h('td', { class: 'number' }, count(mix.trained_parameters)),
        ),
      ),
    ),
  )
}

function comparisonTable(comparisons, mixes) {
  return region(
    'Comparisons',
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        ['Mixes', 'Metric', 'Difference', 'McNemar', 'Says'].map((text) => h('th', { scope: 'col' }, text)),
      ),
    ),
    h(
      'tbody',
      {},
      comparisons.map(({ a, b, metric, difference, mcnemar }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row', class: 'mono' }, `${mixes[a].label} − ${mixes[b].label}`),
          h('td', {}, metric.replaceAll('_', ' ')),
          h(
            'td',
            { class: 'number' },
            `${figure(difference.value)} [${figure(difference.low)}, ${figure(difference.high)}]`,
          ),
          h('td', { class: 'number' }, mcnemar ? `p ${figure(mcnemar.p_value)}` : '–'),
          h('td', {}, verdict(difference, mcnemar)),
        ),
      ),
    ),
  )
}

function verdict({ low, high }, mcnemar) {
  const differs = mcnemar ? mcnemar.p_value < SIGNIFICANT : low > 0 || high < 0
  return h('span', { class: `badge ${differs ? 'is-good' : ''}` }, differs ? 'differ' : 'not told apart')
}

function region(title, ...children) {
  return h(
    'div',
    { class: 'panel scroll-x', tabindex: '0', role: 'region', 'aria-label': title },
    h('h3', {}, title),
    h('table', {}, children),
  )
}
