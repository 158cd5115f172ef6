import { fill, freshId, h } from '../core/dom.js'

/** Rows beyond the edges that are made too, so that scrolling shows no gaps. */
const MARGIN_ROWS = 8
/** Rows before the end of what is loaded at which more is fetched. */
const AHEAD_ROWS = 60

/**
 * A list of any length of which only the rows in sight exist. Pages come from `fetchPage(after)` as `{ data, next }`.
 * Options: `label`, `rowHeight` in pixels, `keyOf(item)`, `row(item)` → children, `onPick(item)`.
 */
export function virtualList({ label, rowHeight, fetchPage, keyOf, row, onPick, empty }) {
  const id = freshId('list')
  const sizer = h('div', { class: 'vlist-size', role: 'presentation' })
  const element = h('div', { class: 'vlist', role: 'listbox', tabindex: '0', 'aria-label': label }, sizer)
  const note = h('p', { class: 'empty', hidden: true }, empty)
  let items = []
  let next = ''
  let epoch = 0
  let loading = false
  let chosen = null
  let active = -1

  function draw() {
    const first = Math.max(0, Math.floor(element.scrollTop / rowHeight) - MARGIN_ROWS)
    const last = Math.min(items.length, Math.ceil((element.scrollTop + element.clientHeight) / rowHeight) + MARGIN_ROWS)
    sizer.style.height = `${items.length * rowHeight}px`
    const isEmpty = items.length === 0 && next === null
    note.hidden = !isEmpty
    element.hidden = isEmpty
    fill(
      sizer,
      items.slice(first, last).map((item, offset) => option(item, first + offset)),
    )
    if (active >= first && active < last) element.setAttribute('aria-activedescendant', `${id}-${active}`)
    else element.removeAttribute('aria-activedescendant')
    if (next !== null && last + AHEAD_ROWS > items.length) void more()
  }

  function option(item, index) {
    const isChosen = keyOf(item) === chosen
    return h(
      'div',
      {
        id: `${id}-${index}`,
        role: 'option',
        class: `vlist-row ${index === active ? 'is-active' : ''}`,
        'aria-selected': isChosen ? 'true' : 'false',
        'aria-posinset': index + 1,
        'aria-setsize': next === null ? items.length : -1,
        style: { top: `${index * rowHeight}px`, height: `${rowHeight}px` },
        on: { click: () => pick(index) },
      },
      row(item),
    )
  }

  async function more() {
    if (loading || next === null) return
    loading = true
    const asked = epoch
    try {
      const page = await fetchPage(next)
      if (asked !== epoch) return
      items = [...items, ...page.data]
      next = page.next
    } catch {
      // The connection's state is shown elsewhere; the list is asked again when it is back.
      if (asked === epoch) next = null
    } finally {
      if (asked === epoch) loading = false
    }
    if (asked === epoch) draw()
  }

  function pick(index) {
    active = index
    chosen = keyOf(items[index])
    draw()
    onPick(items[index])
  }

  function move(to) {
    if (items.length === 0) return
    active = Math.min(items.length - 1, Math.max(0, to))
    const top = active * rowHeight
    if (top < element.scrollTop) element.scrollTop = top
    else if (top + rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = top + rowHeight - element.clientHeight
    draw()
  }

  element.addEventListener('scroll', () => requestAnimationFrame(draw), { passive: true })
  element.addEventListener('keydown', (event) => {
    const page = Math.max(1, Math.floor(element.clientHeight / rowHeight) - 1)
    const steps = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page }
    const target = { ...steps, Home: 0, End: items.length - 1 }[event.key]
    if (target !== undefined) move(target)
    else if (event.key === 'Enter' && active >= 0) pick(active)
    else return
    event.preventDefault()
  })
  new ResizeObserver(() => draw()).observe(element)

  return {
    element: h('div', { class: 'vlist-box' }, element, note),
    /** How many are loaded, and whether there are more. */
    get loaded() {
      return { count: items.length, isAll: next === null }
    },
    /** Begins again with the first page. */
    async reload() {
      epoch += 1
      loading = false
      next = ''
      items = []
      await more()
    },
    /** Marks one as chosen without telling `onPick`. */
    choose(key) {
      chosen = key
      draw()
    },
  }
}
