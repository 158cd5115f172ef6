import { call, get } from '../../core/api.js'
import { fill, h } from '../../core/dom.js'
import { ago, bytes, figure } from '../../core/format.js'
import { currentPulse } from '../../core/pulse.js'
import { hrefOf } from '../../core/router.js'
import { stateBadge } from '../../parts/badge.js'
import { confirmed } from '../../parts/confirm.js'
import { attempt, toast } from '../../parts/toast.js'
import { notesForm } from './notes.js'
import { planOf } from './plan.js'
import { proofOf } from './proof.js'

/** One adapter with its versions, and what can be done with them. */
export async function adapterDetail(element, name, onChanged) {
  const path = `/v1/adapters/${encodeURIComponent(name)}`
  const asked = (element.dataset.asked = `${name} ${performance.now()}`)
  let adapter
  try {
    adapter = await get(path, { quiet: false })
  } catch (error) {
    if (element.dataset.asked !== asked) return
    return fill(element, back(), h('p', { class: 'empty' }, error.message))
  }
  if (element.dataset.asked !== asked) return
  const mayAlter = mayAlterName(name)
  const below = h('div', { class: 'below' })
  const versions = adapter.versions.toReversed()
  fill(
    element,
    back(),
    h(
      'header',
      { class: 'detail-head' },
      h('h2', { class: 'mono' }, name),
      h('a', { class: 'button small', href: hrefOf('playground', name) }, 'Try it'),
      mayAlter && pinButton(adapter, path, onChanged),
      mayAlter &&
        deleteButton(`Delete ${name}?`, 'All its versions go. Requests in flight may finish.', path, onChanged),
    ),
    notesForm(adapter, path, mayAlter),
    h(
      'div',
      { class: 'scroll-x', tabindex: '0', role: 'region', 'aria-label': 'Versions' },
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ['Version', 'State', 'Method', 'Memory', 'Acts', 'Added', 'Actions'].map((text) =>
              h('th', { scope: 'col' }, text),
            ),
          ),
        ),
        h(
          'tbody',
          {},
          versions.map((version) =>
            versionRow(version, path, mayAlter, onChanged, (...content) => fill(below, ...content)),
          ),
        ),
      ),
    ),
    below,
  )
  const newest = versions.find(({ state }) => state === 'ready')
  if (newest) fill(below, await proofOf(path, newest.version))
}

/** Whether this key may change what is called `name`; the server decides in the end. */
export function mayAlterName(name) {
  const caller = currentPulse().figures?.caller
  if (!caller) return false
  return caller.role === 'admin' || (caller.role === 'publisher' && name.startsWith(`${caller.tenant}/`))
}

function back() {
  return h('a', { class: 'back', href: hrefOf('adapters') }, '← All adapters')
}

function versionRow(version, path, mayAlter, onChanged, below) {
  const { version: id, state, reason, method, rank, probe, created_at: added } = version
  const isVersion = id !== 'v0'
  return h(
    'tr',
    {},
    h('th', { scope: 'row', class: 'mono' }, isVersion ? id : '–'),
    h('td', {}, stateBadge(state), reason && h('div', { class: 'reason' }, reason)),
    h('td', {}, isVersion ? `${method}${rank ? ` r${rank}` : ''}` : '–'),
    h('td', { class: 'number' }, isVersion ? bytes(version.device_bytes) : '–'),
    h(
      'td',
      { class: 'number', title: 'KL divergence from the base model on the probe prompt, in nats' },
      probe ? `${figure(probe.kl)} nats` : '–',
    ),
    h('td', {}, h('time', { datetime: added, title: added }, ago(added))),
    h(
      'td',
      { class: 'row-actions' },
      state === 'ready' &&
        h(
          'button',
          { type: 'button', class: 'quiet small', on: { click: async () => below(await proofOf(path, id)) } },
          'Proof',
        ),
      state === 'ready' &&
        h(
          'button',
          { type: 'button', class: 'quiet small', on: { click: async () => below(await planOf(version)) } },
          'Plan',
        ),
      mayAlter && state === 'failed' && retryButton(path, id, onChanged),
      mayAlter &&
        isVersion &&
        deleteButton(
          `Delete ${version.adapter}@${id}?`,
          'Its bytes go. Requests in flight may finish.',
          `${path}/versions/${id}`,
          onChanged,
          'quiet small',
        ),
    ),
  )
}

function retryButton(path, id, onChanged) {
  const button = h('button', { type: 'button', class: 'small', on: { click: retry } }, 'Retry')
  async function retry() {
    if (await attempt(button, () => call('POST', `${path}/versions/${id}/retry`))) onChanged()
  }
  return button
}

function pinButton({ name, pinned }, path, onChanged) {
  const button = h(
    'button',
    { type: 'button', class: 'small', 'aria-pressed': String(pinned), on: { click: toggle } },
    pinned ? 'Pinned' : 'Pin',
  )
  async function toggle() {
    if (!(await attempt(button, () => call('PATCH', path, { pinned: !pinned })))) return
    toast(pinned ? `${name} may be evicted again` : `${name} is kept in memory`)
    onChanged()
  }
  return button
}

function deleteButton(title, text, path, onChanged, kind = 'small') {
  const button = h('button', { type: 'button', class: kind, on: { click: remove } }, 'Delete')
  async function remove() {
    if (!(await confirmed(title, text, 'Delete'))) return
    const done = await attempt(button, async () => (await call('DELETE', path)) ?? { status: 'deleted' })
    if (!done) return
    toast(done.status === 'draining' ? `Draining: ${done.holders} requests still use it` : 'Deleted')
    onChanged()
  }
  return button
}
