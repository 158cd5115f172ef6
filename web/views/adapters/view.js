import { fill, h } from '../../core/dom.js'
import { bytes } from '../../core/format.js'
import { onPulse } from '../../core/pulse.js'
import { hrefOf } from '../../core/router.js'
import { stateBadge } from '../../parts/badge.js'
import { searchList } from '../../parts/search-list.js'
import { adapterDetail } from './detail.js'
import { memoryMap } from './memory-map.js'
import { uploadZone } from './upload.js'

/** Adapters: what is stored, what of it is in memory, and the way in for more. */
export function adaptersView(main, argument) {
  const list = searchList({
    path: '/v1/adapters',
    search: 'Find adapters by the beginning of their name',
    label: 'Adapters',
    keyOf: ({ name }) => name,
    row: listRow,
    onPick: ({ name }) => (location.hash = hrefOf('adapters', name)),
    empty: 'No adapters. Drop the folder of one above.',
  })
  const map = memoryMap()
  const detail = h('section', { class: 'detail', 'aria-label': 'Adapter' })
  const changed = () => (list.reload(), open(currentName))
  main.append(
    h('h1', { class: 'hidden' }, 'Adapters'),
    map.element,
    h(
      'div',
      { class: 'split' },
      h(
        'section',
        { class: 'panel list-panel', 'aria-label': 'Stored adapters' },
        uploadZone({
          onTaken: ({ adapter }) => (list.reload(), (location.hash = hrefOf('adapters', adapter)), open(adapter)),
        }),
        ...list.elements,
      ),
      detail,
    ),
  )

  let currentName = ''
  function open(name) {
    currentName = name
    main.classList.toggle('has-detail', name !== '')
    list.choose(name)
    if (name === '') fill(detail, h('p', { class: 'empty' }, 'Pick an adapter to see its versions and its proof.'))
    else void adapterDetail(detail, name, changed)
  }

  let wasConnected = true
  const stop = onPulse(({ figures, connected }) => {
    if (figures) map.show(figures.memory)
    if (connected && !wasConnected) changed()
    wasConnected = connected
  })
  void list.reload()
  open(argument)
  return { close: stop, move: open }
}

function listRow({ name, pinned, versions }) {
  const newest = versions.findLast(({ state }) => state === 'ready') ?? versions.at(-1)
  return [
    h('span', { class: 'row-title mono' }, name),
    h(
      'span',
      { class: 'row-facts' },
      newest &&
        `${newest.version} · ${newest.method}${newest.rank ? ` r${newest.rank}` : ''} · ${bytes(newest.device_bytes || newest.bytes)}`,
      pinned && ' · pinned',
    ),
    newest && newest.state !== 'ready' && stateBadge(newest.state),
  ]
}
