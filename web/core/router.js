/** Views by the hash: `#/adapters/acme/json` → view `adapters`, argument `acme/json`. */
export function currentRoute() {
  const [, name = '', ...rest] = location.hash.split('/')
  return { name, argument: rest.map(decodeURIComponent).join('/') }
}

export function hrefOf(name, argument = '') {
  return argument === '' ? `#/${name}` : `#/${name}/${argument.split('/').map(encodeURIComponent).join('/')}`
}
