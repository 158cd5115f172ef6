/** All files of what was dropped, folders walked, as `{ name, file }` with their paths. */
export async function droppedFiles(transfer) {
  // The entries must be taken before anything is awaited: the transfer is empty afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean)
  if (entries.length === 0) return [...transfer.files].map((file) => ({ name: file.name, file }))
  const found = await Promise.all(entries.map(filesOf))
  return found.flat()
}

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject))
    return [{ name: entry.fullPath.replace(/^\//, ''), file }]
  }
  const reader = entry.createReader()
  const children = []
  // A reader gives a part of a folder at a time.
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) break
    children.push(...some)
  }
  const found = await Promise.all(children.map(filesOf))
  return found.flat()
}
