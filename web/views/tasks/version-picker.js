import { get } from '../../core/api.js'
import { fill, freshId, h } from '../../core/dom.js'

const TYPING_MS = 200

/** An adapter and one of its ready versions. */
export function versionPicker(adapter) {
  const listId = freshId('adapters')
  const nameId = freshId('adapter')
  const versionId = freshId('version')
  const names = h('datalist', { id: listId })
  const name = h('input', {
    id: nameId,
    class: 'mono',
    list: listId,
    value: adapter,
    required: true,
    spellcheck: 'false',
    autocomplete: 'off',
  })
  const version = h('select', { id: versionId, class: 'mono' })
  let typing = null

  name.addEventListener('input', () => {
    clearTimeout(typing)
    typing = setTimeout(() => void look(), TYPING_MS)
  })
  void look()

  async function look() {
    const wanted = name.value.trim()
    const [found, known] = await Promise.all([
      get(`/v1/adapters?${new URLSearchParams({ limit: 20, ...(wanted && { prefix: wanted }) })}`).catch(() => ({
        data: [],
      })),
      wanted === '' ? null : get(`/v1/adapters/${encodeURIComponent(wanted)}`).catch(() => null),
    ])
    if (wanted !== name.value.trim()) return
    fill(
      names,
      found.data.map((one) => h('option', { value: one.name })),
    )
    const ready = (known?.versions ?? []).filter(({ state }) => state === 'ready').toReversed()
    fill(
      version,
      ready.map((one) => h('option', { value: one.version }, one.version)),
      ready.length === 0 && h('option', { value: '' }, 'none ready'),
    )
  }

  return {
    elements: [h('label', { for: nameId }, 'Adapter'), name, names, h('label', { for: versionId }, 'Version'), version],
    choice: () => ({ adapter: name.value.trim(), ...(version.value !== '' && { version: version.value }) }),
  }
}
