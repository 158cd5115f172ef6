const YEAR = '\\d{4}'
const LEAP = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)'
const DATE = `(?:${YEAR}-(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|${YEAR}-(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|${YEAR}-02-(?:0[1-9]|1\\d|2[0-8])|${LEAP}-02-29)`
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:[Zz]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)'
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
/** At most 253 characters: three long labels or some short ones. */
const SHORT_LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,22}[A-Za-z0-9])?'
const HOST = `(?:${LABEL}(?:\\.${LABEL}){0,2}|${SHORT_LABEL}(?:\\.${SHORT_LABEL}){3,9})`
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`
const HEX = '[0-9A-Fa-f]'
const H16 = `${HEX}{1,4}`
const LS32 = `(?:${H16}:${H16}|${IPV4})`
const IPV6 = [
  `(?:${H16}:){6}${LS32}`,
  `::(?:${H16}:){5}${LS32}`,
  `(?:${H16})?::(?:${H16}:){4}${LS32}`,
  `(?:${H16}(?::${H16}){0,1})?::(?:${H16}:){3}${LS32}`,
  `(?:${H16}(?::${H16}){0,2})?::(?:${H16}:){2}${LS32}`,
  `(?:${H16}(?::${H16}){0,3})?::${H16}:${LS32}`,
  `(?:${H16}(?::${H16}){0,4})?::${LS32}`,
  `(?:${H16}(?::${H16}){0,5})?::${H16}`,
  `(?:${H16}(?::${H16}){0,6})?::`,
].join('|')
const ESCAPED = `%${HEX}{2}`
const UNRESERVED = "A-Za-z0-9._~!$&'()*+,;=\\-"
const SCHEME = '[A-Za-z][A-Za-z0-9+.-]*'
/** What IRIs have beyond URIs. */
const INTERNATIONAL =
  '\\u{a0}-\\u{d7ff}\\u{f900}-\\u{fdcf}\\u{fdf0}-\\u{ffef}\\u{10000}-\\u{1fffd}\\u{20000}-\\u{2fffd}'

/** RFC 3986 and 3987: with a scheme, or without as well. */
function identifier(more: string, absolute: boolean): string {
  const letters = `${UNRESERVED}${more}`
  const part = `(?:[${letters}:@]|${ESCAPED})`
  const authority = `(?:(?:[${letters}:]|${ESCAPED})*@)?(?:\\[(?:${IPV6})\\]|(?:[${letters}]|${ESCAPED})*)(?::\\d{0,5})?`
  const rooted = `//${authority}(?:/${part}*)*|/(?:${part}+(?:/${part}*)*)?`
  const tail = `(?:\\?(?:${part}|[/?])*)?(?:#(?:${part}|[/?])*)?`
  const full = `${SCHEME}:(?:${rooted}|${part}+(?:/${part}*)*)`
  if (absolute) return `^${full}${tail}$`
  return `^(?:${full}|${rooted}|(?:[${letters}@]|${ESCAPED})+(?:/${part}*)*|)${tail}$`
}

/** Patterns without groups: characters, escapes and classes, each perhaps repeated. */
const REGEX_ATOM = '(?:[A-Za-z0-9 _,;:!#%&@~`"<>=-]|\\\\[dDwWsS.^$*+?()|/]|\\.|\\[\\^?[A-Za-z0-9_]+\\])'
const REGEX_SEQUENCE = `(?:${REGEX_ATOM}(?:[*+?]|\\{\\d\\})?)*`
const POINTER = '(?:/(?:[^~/]|~[01])*)*'
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
const VARIABLE = `(?:[A-Za-z0-9_]|${ESCAPED})(?:\\.?(?:[A-Za-z0-9_]|${ESCAPED}))*(?:\\*|:[1-9]\\d{0,3})?`

/** Formats as patterns. Each is the format of its RFC or a part of it. */
export const FORMATS: Readonly<Record<string, string>> = {
  date: `^${DATE}$`,
  time: `^${TIME}$`,
  'date-time': `^${DATE}[Tt]${TIME}$`,
  duration:
    '^P(?:\\d+W|(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)(?:T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S))?|T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S))$',
  email: `^${ATOM}(?:\\.${ATOM})*@${LABEL}(?:\\.${LABEL})+$`,
  // The part without letters beyond ASCII.
  'idn-email': `^${ATOM}(?:\\.${ATOM})*@${LABEL}(?:\\.${LABEL})+$`,
  'idn-hostname': `^${HOST}$`,
  hostname: `^${HOST}$`,
  ipv4: `^${IPV4}$`,
  ipv6: `^(?:${IPV6})$`,
  uuid: `^${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}$`,
  uri: identifier('', true),
  'uri-reference': identifier('', false),
  iri: identifier(INTERNATIONAL, true),
  'iri-reference': identifier(INTERNATIONAL, false),
  'uri-template': `^(?:[A-Za-z0-9._~!$&()*+,;=:@/?#-]|${ESCAPED}|\\{[+#./;?&]?${VARIABLE}(?:,${VARIABLE})*\\})*$`,
  regex: `^\\^?${REGEX_SEQUENCE}(?:\\|${REGEX_SEQUENCE})*\\$?$`,
  'json-pointer': `^${POINTER}$`,
  'relative-json-pointer': `^(?:0|[1-9]\\d*)(?:#|${POINTER})$`,
}
