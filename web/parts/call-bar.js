import { onCalls } from '../core/calls.js'
import { fill, h } from '../core/dom.js'
import { copyButton } from './copy.js'

/** The last call as a shell would make it, and those before it on request. */
export function showCalls(element) {
  const list = h('ol', { class: 'call-list' })
  const summary = h('summary', {}, 'API calls')
  const details = h('details', {}, summary, list)
  element.append(details)
  onCalls((calls) => {
    const [last] = calls
    element.hidden = last === undefined
    if (!last) return
    fill(
      summary,
      h('span', { class: 'call-title' }, 'API call'),
      statusOf(last),
      h('code', { class: 'call-last' }, last.curl),
    )
    fill(
      list,
      calls.map((call) =>
        h(
          'li',
          {},
          statusOf(call),
          h('code', {}, call.curl),
          copyButton(() => call.curl),
        ),
      ),
    )
  })
}

function statusOf({ status }) {
  if (status === null) return h('span', { class: 'badge' }, '…')
  const kind = status >= 200 && status < 300 ? 'is-good' : 'is-bad'
  return h('span', { class: `badge ${kind}` }, status === 0 ? 'no answer' : String(status))
}
