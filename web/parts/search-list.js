import { get } from '../core/api.js'
import { freshId, h } from '../core/dom.js'
import { virtualList } from './virtual-list.js'

const PAGE = 200
const ROW_HEIGHT = 52
const TYPING_MS = 150

/**
 * A list of what the server has under `path`, page by page, with a box to find names by their beginning.
 *
 * `search`: what the box is for; everything else as of `virtualList`. `elements` go one below the other; `reload` and `choose` as of the list.
 */
export function searchList({ path, search, ...options }) {
  let prefix = ''
  const id = freshId('search')
  const box = h('input', {
    id,
    type: 'search',
    placeholder: 'Name begins with…',
    autocomplete: 'off',
    spellcheck: 'false',
  })
  const list = virtualList({
    rowHeight: ROW_HEIGHT,
    fetchPage: (after) =>
      get(`${path}?${new URLSearchParams({ limit: PAGE, ...(after && { after }), ...(prefix && { prefix }) })}`),
    ...options,
  })
  let typing = null
  box.addEventListener('input', () => {
    clearTimeout(typing)
    typing = setTimeout(() => {
      prefix = box.value.trim()
      void list.reload()
    }, TYPING_MS)
  })
  const elements = [h('label', { class: 'hidden', for: id }, search), box, list.element]
  return { elements, reload: list.reload, choose: list.choose }
}
