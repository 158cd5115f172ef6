const KEY = 'troupe.key'

/** The key of this tab, or null. It is forgotten with the tab. */
export function storedKey() {
  return sessionStorage.getItem(KEY)
}

export function keepKey(key) {
  if (key === null) sessionStorage.removeItem(KEY)
  else sessionStorage.setItem(KEY, key)
}
