import { call } from '../../core/api.js'
import { freshId, h } from '../../core/dom.js'
import { attempt } from '../../parts/toast.js'
import { versionPicker } from './version-picker.js'

const FIRST_SHARE = 10

/** Sends a share of the requests to another version, or moves that share. */
export function canarySlider(task, path, changed) {
  const { routes } = task
  if (routes.length > 2 || routes.length === 0) return null
  const [stable, canary] = routes
  const picker = canary ? null : versionPicker(stable.adapter)
  const total = stable.weight + (canary?.weight ?? 0) || 1
  const share = canary ? Math.round((canary.weight / total) * 100) : FIRST_SHARE
  const id = freshId('share')
  const output = h('output', { for: id, class: 'mono share' }, `${share} %`)
  const slider = h('input', {
    id,
    type: 'range',
    min: '0',
    max: '100',
    step: '1',
    value: String(share),
    'aria-label': 'Share of the requests that the canary gets, in percent',
    on: { input: () => (output.textContent = `${slider.value} %`) },
  })
  const button = h('button', { type: 'submit', class: 'small' }, canary ? 'Set share' : 'Start canary')
  const form = h(
    'form',
    { class: 'canary', 'aria-label': 'Canary' },
    picker
      ? h('div', { class: 'bar-line form-line' }, picker.elements)
      : h(
          'p',
          { class: 'soft' },
          'Canary ',
          h('span', { class: 'mono' }, `${canary.adapter}@${canary.version}`),
          '; at 100 % it takes over, at 0 % it ends',
        ),
    h('div', { class: 'bar-line' }, h('span', { class: 'scale' }, slider, output), button),
  )
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const other = picker ? picker.choice() : { adapter: canary.adapter, version: canary.version }
    const next = routesFor(stable, other, Number(slider.value))
    const before = routes.map((route) => ({ ...route }))
    const after = await attempt(button, () => call('PUT', path, { routes: next }))
    if (after)
      changed(
        { task: after, previous: before },
        next.length > 1 ? `The canary gets ${slider.value} %` : 'The canary has ended',
      )
  })
  return form
}

function routesFor({ adapter, version }, canary, share) {
  if (share === 0) return [{ adapter, version, weight: 1 }]
  if (share === 100) return [{ ...canary, weight: 1 }]
  return [
    { adapter, version, weight: 100 - share },
    { ...canary, weight: share },
  ]
}
