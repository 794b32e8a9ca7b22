// What the platforms hand over as an answer, and whose answer it is.

// The gateway marks its own refusals with this header and removes it from every
// answer of the app, so nothing else tells the two apart.
const MARK = 'x-wechat-gateway'
const NEEDS_LOGIN = ['login_required', 'session_expired', 'session_ended']

// headersOf gives headers by lower-case name; null if the platform shows none.
// Some platforms hand them over as one text, or several values as a list.
export function headersOf(given) {
  let header = given
  if (typeof header === 'string') header = parseHeaders(header)
  if (!header || typeof header !== 'object') return null
  const names = Object.keys(header)
  if (!names.length) return null
  const all = {}
  names.forEach((name) => {
    if (header[name] !== undefined && header[name] !== null) all[name.toLowerCase()] = String(header[name])
  })
  return all
}

function parseHeaders(text) {
  const parsed = parseJSON(text)
  if (parsed) return parsed
  const all = {}
  text.split(/\r?\n/).forEach((line) => {
    const colon = line.indexOf(':')
    if (colon > 0) all[line.slice(0, colon).trim()] = line.slice(colon + 1).trim()
  })
  return all
}

function parseJSON(text) {
  try {
    return JSON.parse(text)
  } catch (e) {
    return undefined
  }
}

// getHeader reads a header of a result; platforms spell names differently.
export function getHeader(res, name) {
  const header = headersOf(res && res.header)
  return header ? header[name.toLowerCase()] : undefined
}

// An Answer is a result with what the client reads from it. Uploads and
// downloads show their headers on some platforms by an event only.
export class Answer {
  constructor(res, eventHeader) {
    const early = headersOf(eventHeader)
    const late = headersOf(res.header)
    this.res = res
    this.header = early || late ? Object.assign({}, early, late) : null
    this.status = Number(res.statusCode)
    this.code = (this.header && this.header[MARK]) || undefined
  }

  // result is what the caller gets: the platform's own, with headers if they
  // are known. A refusal is no file.
  result() {
    const res = this.res
    const shows = headersOf(res.header) || !this.header
    const refused = this.code !== undefined && (res.tempFilePath !== undefined || res.filePath !== undefined)
    if (shows && !refused) return res
    const copy = Object.assign({}, res)
    if (!shows) copy.header = this.header
    if (refused) {
      delete copy.tempFilePath
      delete copy.filePath
    }
    return copy
  }

  refusesToken() {
    return NEEDS_LOGIN.indexOf(this.code) >= 0
  }

  // retryAfter is how many seconds a 429 or 503 asks to wait. Events do not show
  // the status everywhere.
  retryAfter() {
    const asks = isNaN(this.status) || this.status === 429 || this.status === 503
    const value = this.header && this.header['retry-after']
    if (!asks || !value) return undefined
    const seconds = /^\s*\d+\s*$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000)
    return isNaN(seconds) ? undefined : Math.max(0, seconds)
  }
}

// bodyCode is the code in the body of an answer of the gateway's own routes.
function bodyCode(res) {
  let data = res.data
  if (typeof ArrayBuffer === 'function' && data instanceof ArrayBuffer && data.byteLength < 4096) {
    data = String.fromCharCode.apply(null, new Uint8Array(data))
  }
  if (typeof data === 'string') data = parseJSON(data)
  return data && typeof data.error === 'string' ? data.error : undefined
}

export function failure(text, fields) {
  return Object.assign(new Error(text), { errMsg: text }, fields)
}

// refusal is the error for an answer that is not what was asked for.
export function refusal(what, answer) {
  const code = answer.code || bodyCode(answer.res)
  return failure(what + ':fail ' + (code || 'HTTP ' + answer.res.statusCode), {
    error: code,
    statusCode: answer.res.statusCode,
    retryAfter: answer.retryAfter(),
    data: answer.res.data,
    header: answer.res.header
  })
}
