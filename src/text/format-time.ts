const MONTHS = 'January February March April May June July August September October November December'.split(' ')
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ')

/** `strftime` with the directives chat templates use, in local time and English; others stay as they are. */
export function formatTime(time: Date, format: string): string {
  const month = MONTHS[time.getMonth()]!
  const day = DAYS[time.getDay()]!
  const directives: Readonly<Record<string, string>> = {
    Y: String(time.getFullYear()),
    y: twoDigits(time.getFullYear() % 100),
    m: twoDigits(time.getMonth() + 1),
    d: twoDigits(time.getDate()),
    H: twoDigits(time.getHours()),
    I: twoDigits(time.getHours() % 12 || 12),
    M: twoDigits(time.getMinutes()),
    S: twoDigits(time.getSeconds()),
    p: time.getHours() < 12 ? 'AM' : 'PM',
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    '%': '%',
  }
  return format.replace(/%([a-zA-Z%])/g, (whole, directive: string) => directives[directive] ?? whole)
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}
