import { fill, freshId, h } from '../../core/dom.js'

const LARGEST_SCALE = 2
const STEP = 0.05
const LETTERS = 'ABCD'

/** One mix: adapters with scales. Without any it is the base model. */
export function mixEditor({ namesId, onChange, onNames, onRemove }, given) {
  const members = given.map((member) => ({ ...member }))
  const title = h('h3', {})
  const list = h('div', { class: 'members' })
  const remove = h('button', { type: 'button', class: 'quiet small', on: { click: onRemove } }, '×')
  const add = h(
    'button',
    {
      type: 'button',
      class: 'quiet small',
      on: {
        click: () => (
          members.push({ name: '', scale: 1 }),
          draw(),
          list.querySelector('.member:last-child input').focus()
        ),
      },
    },
    '+ Adapter',
  )
  const element = h(
    'section',
    { class: 'panel mix' },
    h('div', { class: 'bar-line' }, title, h('span', { class: 'space' }), add, remove),
    list,
  )
  let letter = 'A'

  function draw() {
    element.setAttribute('aria-label', `Mix ${letter}`)
    remove.setAttribute('aria-label', `Remove mix ${letter}`)
    fill(
      title,
      h('span', { class: `letter letter-${letter}` }, letter),
      members.length === 0 ? 'Base model' : 'Base model with',
    )
    fill(list, members.map(memberRow))
    onChange()
  }

  function memberRow(member, index) {
    const scaleId = freshId('scale')
    const output = h('output', { for: scaleId, class: 'mono' }, member.scale.toFixed(2))
    const name = h('input', {
      class: 'mono',
      list: namesId,
      value: member.name,
      'aria-label': `Adapter ${index + 1} of mix ${letter}`,
      placeholder: 'name or name@v2',
      spellcheck: 'false',
      on: { input: () => ((member.name = name.value.trim()), onNames(member.name), onChange()) },
    })
    const scale = h('input', {
      id: scaleId,
      type: 'range',
      min: '0',
      max: String(LARGEST_SCALE),
      step: String(STEP),
      value: String(member.scale),
      'aria-label': `Scale of ${member.name || 'the adapter'} in mix ${letter}`,
      on: {
        input: () => ((member.scale = Number(scale.value)), (output.textContent = member.scale.toFixed(2)), onChange()),
      },
    })
    const drop = h(
      'button',
      {
        type: 'button',
        class: 'quiet small',
        'aria-label': `Take ${member.name || 'the adapter'} out of mix ${letter}`,
        on: { click: () => (members.splice(index, 1), draw()) },
      },
      '×',
    )
    return h('div', { class: 'member' }, name, drop, h('span', { class: 'scale' }, scale, output))
  }

  return {
    element,
    /** Tells its place among the mixes. */
    place(index, mayGo) {
      remove.hidden = !mayGo
      if (LETTERS[index] === letter && list.dataset.drawn) return
      letter = LETTERS[index]
      list.dataset.drawn = 'yes'
      const change = onChange
      onChange = () => {}
      draw()
      onChange = change
    },
    /** As `/v1/compare` takes it. */
    mix() {
      const named = members.filter(({ name }) => name !== '' && name !== 'base')
      if (named.length === 0) return { model: 'base' }
      if (named.length === 1 && named[0].scale === 1) return { model: named[0].name }
      return { adapters: named.map(reference) }
    },
  }
}

function reference({ name, scale }) {
  const at = name.indexOf('@')
  return at < 0 ? { name, scale } : { name: name.slice(0, at), version: name.slice(at + 1), scale }
}
