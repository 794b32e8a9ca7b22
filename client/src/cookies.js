// Cookies of one server by RFC 6265, for a platform that keeps none.

import { headersOf } from './answer.js'

const MAX_COOKIES = 50 // cookies
const MAX_COOKIE = 4096 // of a cookie, in characters
const FOREVER = 8640000000000000 // the last moment that Date knows
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

export class Jar {
  constructor(record) {
    this.record = record
    this.cookies = []
    this.count = 0 // of cookies, to know the oldest
    this.seq = -1 // counts what was written to storage, by any copy of the client
    this.sync()
  }

  // sync takes over the cookies that another copy of the client has stored.
  sync() {
    const saved = this.record.read()
    if (!saved || !Array.isArray(saved.cookies) || !(saved.seq > this.seq)) return
    this.seq = saved.seq
    this.cookies = this.cookies.filter((cookie) => !cookie.persistent).concat(saved.cookies.filter(isCookie))
    this.cookies.forEach((cookie) => (this.count = Math.max(this.count, cookie.created)))
  }

  // take keeps the cookies of an answer of the URL.
  take(answer, url) {
    const lines = setCookies(answer)
    if (!lines.length) return
    this.sync()
    lines.forEach((line) => this.set(line, url))
    this.save()
  }

  set(line, url) {
    const place = placeOf(url)
    const cookie = line.length <= MAX_COOKIE ? parseCookie(line, place) : null
    if (!cookie) return
    const same = (c) => c.name === cookie.name && c.path === cookie.path && c.domain === cookie.domain
    const before = this.cookies.find(same)
    cookie.created = before ? before.created : ++this.count
    this.cookies = this.cookies.filter((c) => !same(c) && c.expires > Date.now())
    if (cookie.expires > Date.now()) this.cookies.push(cookie)
    while (this.cookies.length > MAX_COOKIES) this.cookies.shift()
  }

  // addTo adds the cookies of a URL to headers, behind the caller's own.
  addTo(header, url) {
    const own = Object.keys(header).find((name) => name.toLowerCase() === 'cookie')
    const text = this.header(url)
    if (!text) return header
    const all = Object.assign({}, header)
    if (own) all[own] = header[own] + '; ' + text
    else all.Cookie = text
    return all
  }

  header(url) {
    this.sync()
    const place = placeOf(url)
    return this.cookies
      .filter((c) => c.expires > Date.now() && (place.secure || !c.secure) && pathMatches(place.path, c.path))
      .filter((c) => (c.domain ? domainMatches(place.host, c.domain) : c.host === place.host))
      .sort((a, b) => b.path.length - a.path.length || a.created - b.created)
      .map((c) => (c.name ? c.name + '=' + c.value : c.value))
      .join('; ')
  }

  clear() {
    this.cookies = []
    this.save()
  }

  // reload keeps only what is stored.
  reload() {
    this.cookies = []
    this.seq = -1
    this.sync()
  }

  // save stores what outlives the session of the Mini Program.
  save() {
    this.seq++
    this.record.write({ seq: this.seq, cookies: this.cookies.filter((cookie) => cookie.persistent) })
  }
}

function isCookie(c) {
  return c && typeof c.name === 'string' && typeof c.value === 'string' && typeof c.path === 'string' && c.expires > 0
}

function placeOf(url) {
  const parts = /^(https?):\/\/([^/?#:]+)(?::\d+)?([^?#]*)/i.exec(url)
  return { secure: parts[1].toLowerCase() === 'https', host: parts[2].toLowerCase(), path: parts[3] || '/' }
}

// setCookies are the lines of an answer. Where the platform joins them with
// commas, a comma in front of a name and = begins the next; that of a date does
// not.
function setCookies(answer) {
  const header = headersOf(answer.res.header) || answer.header || {}
  if (Array.isArray(answer.res.cookies) && answer.res.cookies.length) return answer.res.cookies.map(String)
  return header['set-cookie'] ? header['set-cookie'].split(/,(?=\s*[^\s;,=]+=)|\n/) : []
}

// parseCookie is section 5.2 and 5.3; null for what is to be ignored.
function parseCookie(line, place) {
  const [pair, ...attributes] = line.split(';')
  const equals = pair.indexOf('=')
  if (equals < 0) return null
  const name = pair.slice(0, equals).trim()
  const value = pair.slice(equals + 1).trim()
  if (!name || /[\x00-\x08\x0a-\x1f\x7f]/.test(name + value)) return null
  const cookie = {
    name,
    value,
    host: place.host,
    domain: '',
    path: '',
    secure: false,
    expires: FOREVER,
    persistent: false
  }
  let maxAge
  attributes.forEach((attribute) => {
    const [key, text] = splitAttribute(attribute)
    if (key === 'expires') {
      const time = parseDate(text)
      if (time === undefined || maxAge) return
      cookie.expires = time
      cookie.persistent = true
    } else if (key === 'max-age' && /^-?\d+$/.test(text)) {
      maxAge = true
      cookie.expires = Number(text) > 0 ? Math.min(Date.now() + Number(text) * 1000, FOREVER) : 0
      cookie.persistent = true
    } else if (key === 'domain' && text) cookie.domain = text.replace(/^\./, '').toLowerCase()
    else if (key === 'path') cookie.path = text.charAt(0) === '/' ? text : ''
    else if (key === 'secure') cookie.secure = true
  })
  if (!cookie.path) cookie.path = place.path.slice(0, Math.max(1, place.path.lastIndexOf('/')))
  if (cookie.domain && !domainMatches(place.host, cookie.domain)) return null
  if (cookie.domain && cookie.domain !== place.host && cookie.domain.indexOf('.') < 0) return null // as org
  if (cookie.secure && !place.secure) return null
  if (/^__secure-/i.test(name) && !cookie.secure) return null
  if (/^__host-/i.test(name) && (!cookie.secure || cookie.domain || cookie.path !== '/')) return null
  return cookie
}

function splitAttribute(attribute) {
  const equals = attribute.indexOf('=')
  const key = equals < 0 ? attribute : attribute.slice(0, equals)
  return [key.trim().toLowerCase(), equals < 0 ? '' : attribute.slice(equals + 1).trim()]
}

// Sections 5.1.3 and 5.1.4.
function domainMatches(host, domain) {
  if (host === domain) return true
  return host.slice(-domain.length - 1) === '.' + domain && !/^[\d.]+$/.test(host)
}

function pathMatches(path, prefix) {
  if (path === prefix) return true
  if (path.indexOf(prefix) !== 0) return false
  return prefix.charAt(prefix.length - 1) === '/' || path.charAt(prefix.length) === '/'
}

// parseDate is section 5.1.1: a time in ms, or undefined.
export function parseDate(text) {
  let time, day, month, year
  text.split(/[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+/).forEach((token) => {
    let found
    if (!time && (found = /^(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\D|$)/.exec(token))) time = found.slice(1).map(Number)
    else if (day === undefined && (found = /^(\d{1,2})(?:\D|$)/.exec(token))) day = Number(found[1])
    else if (month === undefined && MONTHS.indexOf(token.slice(0, 3).toLowerCase()) >= 0) {
      month = MONTHS.indexOf(token.slice(0, 3).toLowerCase())
    } else if (year === undefined && (found = /^(\d{2,4})(?:\D|$)/.exec(token))) year = Number(found[1])
  })
  if (!time || day === undefined || month === undefined || year === undefined) return undefined
  if (year >= 70 && year <= 99) year += 1900
  else if (year <= 69) year += 2000
  if (day < 1 || year < 1601 || time[0] > 23 || time[1] > 59 || time[2] > 59) return undefined
  const date = new Date(Date.UTC(year, month, day, time[0], time[1], time[2]))
  return date.getUTCDate() === day ? date.getTime() : undefined
}
