/**
 * Makes an element. Properties: `class`, `style` (an object, set through the CSSOM), `on` (listeners), attributes by their names; `true` sets an
 * empty one, `false`, `null` and `undefined` leave it out. Children: elements, texts, lists; empty ones are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue
    if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener)
    else if (name === 'style') for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text)
    else if (name === 'value') element.value = value
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...present(children))
  return element
}

/** Puts these in the place of all children. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children))
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
}

let lastId = 0

/** An id that no other element has. */
export function freshId(prefix) {
  lastId += 1
  return `${prefix}-${lastId}`
}
