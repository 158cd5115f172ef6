import { h } from '../../core/dom.js'
import { figure, percent } from '../../core/format.js'

/** A score with its interval: a line from low to high, a mark at the value, on a scale from 0 to `largest`. */
export function intervalBar({ value, low, high }, largest, confidence) {
  const at = (score) => `${Math.max(0, Math.min(1, score / largest)) * 100}%`
  const text = `${figure(value)}, between ${figure(low)} and ${figure(high)} with ${percent(confidence)} confidence`
  return h(
    'span',
    { class: 'interval', role: 'img', 'aria-label': text, title: text },
    h('span', { class: 'interval-range', style: { left: at(low), width: `calc(${at(high)} - ${at(low)})` } }),
    h('span', { class: 'interval-value', style: { left: at(value) } }),
  )
}
