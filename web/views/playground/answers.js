import { fill, h } from '../../core/dom.js'
import { bytes, count, figure, milliseconds } from '../../core/format.js'
import { differingTokens } from './token-difference.js'

const LETTERS = 'ABCD'

/** The answers as they come; what differs from the first one is marked. */
export function answers() {
  const grid = h('div', { class: 'answers' })
  const summary = h('div', { class: 'summary', role: 'status' })
  const element = h('section', { class: 'result', 'aria-label': 'Answers', hidden: true }, grid, summary)
  let columns = []

  return {
    element,
    begin(number) {
      columns = Array.from({ length: number }, (_, index) => column(index))
      element.hidden = false
      fill(
        grid,
        columns.map((one) => one.element),
      )
      fill(summary)
      grid.style.setProperty('--columns', String(number))
    },
    take(name, data) {
      if (name === 'start') for (const mix of data.mixes) columns[mix.index]?.name(mix)
      else if (name === 'delta') columns[data.index]?.add(data)
      else if (name === 'end') columns[data.index]?.end(data)
      else if (name === 'error' && data.index !== null) columns[data.index]?.fail(data.error.message)
      else if (name === 'error') this.fail(data.error.message)
      else if (name === 'summary') {
        fill(
          summary,
          columns.length > 1 && referencePicker(columns),
          differences(data.first_difference),
          data.log_likelihoods && likelihoodTable(data.log_likelihoods),
        )
      }
    },
    fail(message) {
      for (const one of columns) one.rest()
      fill(summary, h('p', { class: 'error' }, message))
    },
  }
}

function column(index) {
  const letter = LETTERS[index]
  const label = h('span', { class: 'mono answer-label' }, '…')
  const facts = h('p', { class: 'answer-facts' }, 'waiting')
  const text = h('div', { class: 'answer-text', 'aria-busy': 'true' })
  const pieces = []
  const ids = []
  let made = ''
  return {
    letter,
    hasAdapters: false,
    pieces,
    ids,
    element: h(
      'article',
      { class: 'panel answer', 'aria-label': `Answer ${letter}` },
      h('header', { class: 'bar-line' }, h('span', { class: `letter letter-${letter}` }, letter), label),
      text,
      facts,
    ),
    name(mix) {
      label.textContent = mix.label
      this.hasAdapters = mix.adapters.length > 0
      made =
        mix.adapters.length === 0 ? 'no adapter' : `${bytes(mix.bytes)} · ${count(mix.trained_parameters)} parameters`
      label.title = mix.adapters
        .map(({ name, version, digest, scale }) => `${name}@${version} × ${scale} ${digest}`)
        .join('\n')
      facts.textContent = made
    },
    add({ text: piece, token_ids: tokens }) {
      const element = h('span', {}, piece)
      pieces.push({ element, from: ids.length, to: ids.length + tokens.length })
      ids.push(...tokens)
      text.append(element)
    },
    end({ finish_reason: reason, usage, timings }) {
      this.rest()
      if (ids.length === 0) fill(text, h('span', { class: 'soft' }, '(empty)'))
      const speed = timings.tokens_per_second === null ? null : `${figure(timings.tokens_per_second)} tokens/s`
      facts.textContent = [
        `${usage.completion_tokens} tokens`,
        reason,
        `first ${milliseconds(timings.first_token_ms)}`,
        speed,
        made,
      ]
        .filter(Boolean)
        .join(' · ')
    },
    fail(message) {
      this.rest()
      text.append(h('p', { class: 'error' }, message))
    },
    rest() {
      text.removeAttribute('aria-busy')
    },
  }
}

/** Marks in each column what the reference does not have, and in the reference what the only other one does not have. */
function markDifferences(columns, reference) {
  const others = columns.filter((one) => one !== reference)
  for (const other of others) {
    const { a, b } = differingTokens(reference.ids, other.ids)
    mark(other, b)
    mark(reference, others.length === 1 ? a : new Set())
  }
}

function mark({ pieces }, differing) {
  for (const piece of pieces) {
    let differs = false
    for (let index = piece.from; index < piece.to; index++) differs ||= differing.has(index)
    const next = h(differs ? 'mark' : 'span', {}, piece.element.textContent)
    piece.element.replaceWith(next)
    piece.element = next
  }
}

/** Which answer the others are compared with: the first of a mix with adapters, where there are two of them. */
function referencePicker(columns) {
  const withAdapters = columns.filter(({ hasAdapters }) => hasAdapters)
  let reference = withAdapters.length > 1 ? withAdapters[0] : columns[0]
  const element = h('div', { class: 'bar-line soft', role: 'group', 'aria-label': 'Answer to compare with' })
  const draw = () => {
    markDifferences(columns, reference)
    fill(
      element,
      'Marked: what differs from',
      columns.map((one) =>
        h(
          'button',
          {
            type: 'button',
            class: 'small',
            'aria-pressed': String(one === reference),
            on: { click: () => ((reference = one), draw()) },
          },
          one.letter,
        ),
      ),
    )
  }
  draw()
  return element
}

function differences(pairs) {
  if (pairs.length === 0) return null
  return h(
    'ul',
    { class: 'pairs', 'aria-label': 'First difference' },
    pairs.map(({ a, b, token }) =>
      h('li', {}, letters(a, b), token === null ? ' answer alike' : ` part at token ${token + 1}`),
    ),
  )
}

function letters(a, b) {
  return [
    h('span', { class: `letter letter-${LETTERS[a]}` }, LETTERS[a]),
    h('span', { class: `letter letter-${LETTERS[b]}` }, LETTERS[b]),
  ]
}

function likelihoodTable(rows) {
  return h(
    'div',
    { class: 'scroll-x panel', tabindex: '0', role: 'region', 'aria-label': 'Likelihoods' },
    h(
      'table',
      {},
      h('caption', {}, 'Log-likelihood, in nats, of each answer under each mix'),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'col' }, 'Answer'),
          rows.map((_, index) => h('th', { scope: 'col' }, `under ${LETTERS[index]}`)),
        ),
      ),
      h(
        'tbody',
        {},
        rows.map((row, index) =>
          h(
            'tr',
            {},
            h('th', { scope: 'row' }, LETTERS[index]),
            row.map((value) => h('td', { class: 'number' }, figure(value))),
          ),
        ),
      ),
    ),
  )
}
