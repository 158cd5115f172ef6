import { h } from '../core/dom.js'

/** A horizontal bar that fills a share of its width. */
export function bar(share, label) {
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`
  return h(
    'span',
    { class: 'bar', role: 'img', 'aria-label': label },
    h('span', { class: 'bar-fill', style: { width } }),
  )
}
