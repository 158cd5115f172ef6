/** A text as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

export interface CurlRequest {
  readonly url: string
  /** Sent as JSON. */
  readonly body?: object
  /** Shows a stream as it comes. */
  readonly stream?: boolean
  /** Send the key in `$TROUPE_KEY`. */
  readonly withKey?: boolean
}

/** A `curl` command that can be copied into a shell. */
export function curlLine({ url, body, stream = false, withKey = false }: CurlRequest): string {
  const words = ['curl', stream ? '-sN' : '-s', shellQuote(url)]
  if (withKey) words.push('-H', '"Authorization: Bearer $TROUPE_KEY"')
  if (body) words.push('-H', shellQuote('content-type: application/json'), '-d', shellQuote(JSON.stringify(body)))
  return words.join(' ')
}
