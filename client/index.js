// caddy-wechat client: logs a WeChat Mini Program in at the gateway and sends
// its requests with the token. One file, no dependencies. Made from src/ of
// client/ by build.js; change it there.
;(function (root) {
'use strict'

const MARK = 'x-wechat-gateway'
const NEEDS_LOGIN = ['login_required', 'session_expired', 'session_ended']

function headersOf(given) {
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

function getHeader(res, name) {
  const header = headersOf(res && res.header)
  return header ? header[name.toLowerCase()] : undefined
}

class Answer {
  constructor(res, eventHeader) {
    const early = headersOf(eventHeader)
    const late = headersOf(res.header)
    this.res = res
    this.header = early || late ? Object.assign({}, early, late) : null
    this.status = Number(res.statusCode)
    this.code = (this.header && this.header[MARK]) || undefined
  }

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

  retryAfter() {
    const asks = isNaN(this.status) || this.status === 429 || this.status === 503
    const value = this.header && this.header['retry-after']
    if (!asks || !value) return undefined
    const seconds = /^\s*\d+\s*$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000)
    return isNaN(seconds) ? undefined : Math.max(0, seconds)
  }
}

function bodyCode(res) {
  let data = res.data
  if (typeof ArrayBuffer === 'function' && data instanceof ArrayBuffer && data.byteLength < 4096) {
    data = String.fromCharCode.apply(null, new Uint8Array(data))
  }
  if (typeof data === 'string') data = parseJSON(data)
  return data && typeof data.error === 'string' ? data.error : undefined
}

function failure(text, fields) {
  return Object.assign(new Error(text), { errMsg: text }, fields)
}

function refusal(what, answer) {
  const code = answer.code || bodyCode(answer.res)
  return failure(what + ':fail ' + (code || 'HTTP ' + answer.res.statusCode), {
    error: code,
    statusCode: answer.res.statusCode,
    retryAfter: answer.retryAfter(),
    data: answer.res.data,
    header: answer.res.header
  })
}

const MAX_DELAY = 0x7fffffff // setTimeout takes no more
const SINGLE_PAGE = 1154 // scene of a page shown in Moments: no wx.login there

function later(ms, run) {
  return setTimeout(run, Math.min(ms, MAX_DELAY))
}

function pause(ms) {
  return new Promise((resolve) => later(ms, resolve))
}

function within(promise, ms, giveUp) {
  return new Promise((resolve, reject) => {
    const timer = later(ms, () => reject(giveUp()))
    const done = (settle) => (value) => {
      clearTimeout(timer)
      settle(value)
    }
    promise.then(done(resolve), done(reject))
  })
}

function invoke(platform, name, options, limit, watch) {
  let cancel
  const promise = new Promise((resolve, reject) => {
    let over = false
    let task = null
    const settle = (how, value) => {
      if (over) return
      over = true
      clearTimeout(timer)
      how(value)
    }
    const abort = () => {
      try {
        if (task && typeof task.abort === 'function') task.abort()
      } catch (e) {
      }
    }
    const take = (value) => {
      if (!value || (typeof value !== 'object' && typeof value !== 'function')) return
      task = value
      if (over) abort()
      else if (watch) watch(task)
    }
    cancel = (err) => {
      if (over) return
      settle(reject, err)
      abort()
    }
    const timer = later(limit, () => cancel({ errMsg: name + ':fail timeout' }))
    const success = (res) => settle(resolve, res || {})
    const fail = (err) => settle(reject, asError(name, err))
    const heed = (value) => {
      if (!value || typeof value !== 'object') return // an interceptor's own; the callbacks come
      if (typeof value.abort === 'function') {
        if (!over) take(value) // uni-app's asynchronous interceptors give the task late
      } else if ('statusCode' in value || 'code' in value) success(value)
    }
    try {
      take(platform[name](Object.assign({}, options, { success, fail })))
      if (task && typeof task.then === 'function') task.then(heed, fail)
    } catch (err) {
      fail(err)
    }
  })
  return { promise, cancel }
}

function asError(name, err) {
  if (err instanceof Error) return err.errMsg ? err : Object.assign(err, { errMsg: name + ':fail ' + err.message })
  if (err && typeof err === 'object') return err
  return failure(name + ':fail ' + (err === undefined ? 'not sent' : String(err)))
}

function entryScene(platform) {
  const get = platform.getEnterOptionsSync || platform.getLaunchOptionsSync
  try {
    return get ? get.call(platform).scene : undefined
  } catch (e) {
    return undefined
  }
}

function isSinglePage(platform) {
  return entryScene(platform) === SINGLE_PAGE
}

class Record {
  constructor(platform, key) {
    this.platform = platform
    this.key = key
  }

  read() {
    try {
      const value = this.platform.getStorageSync(this.key)
      return value && typeof value === 'object' ? value : null
    } catch (e) {
      return null
    }
  }

  write(value) {
    try {
      this.platform.setStorageSync(this.key, value)
    } catch (e) {
    }
  }
}

function removeFile(platform, filePath) {
  if (!filePath) return
  const ignore = () => {}
  try {
    const files = platform.getFileSystemManager()
    if (typeof files.unlinkSync === 'function') files.unlinkSync(filePath)
    else files.unlink({ filePath, success: ignore, fail: ignore })
  } catch (e) {
  }
}

class Queue {
  constructor(places) {
    this.free = places
    this.waiting = []
  }

  enter(start, failed) {
    const one = { start, failed }
    this.waiting.push(one)
    this.next()
    return () => {
      this.waiting = this.waiting.filter((other) => other !== one)
    }
  }

  next() {
    while (this.free > 0 && this.waiting.length) {
      let taken = true
      const leave = () => {
        if (!taken) return
        taken = false
        this.free++
        this.next()
      }
      this.free--
      const { start, failed } = this.waiting.shift()
      try {
        start(leave)
      } catch (err) {
        leave()
        failed(err)
      }
    }
  }
}

const GATEWAY_TIMEOUT = 10000 // of login, renew and logout; the gateway gives WeChat 5 s

class Gateway {
  constructor(platform, base, prefix) {
    this.platform = platform
    this.base = base
    this.prefix = prefix
  }

  send(method, path, data, token) {
    const header = { 'content-type': 'application/json' }
    if (token) header.Authorization = 'Bearer ' + token
    const url = this.base + this.prefix + path
    const options = { url, method, data, header, timeout: GATEWAY_TIMEOUT, dataType: 'json' }
    return invoke(this.platform, 'request', options, GATEWAY_TIMEOUT).promise.then((res) => new Answer(res))
  }

  persist(method, path, data, token, pauses, wanted) {
    return this.send(method, path, data, token).catch((lost) => {
      if (!pauses.length || !wanted()) throw lost
      return pause(pauses[0]).then(() => {
        if (!wanted()) throw lost
        return this.persist(method, path, data, token, pauses.slice(1), wanted)
      })
    })
  }
}

const LOGIN_LIMIT = 60000 // of all that belongs to one login, ms
const REPEATS = [500, 2000] // pauses before a login whose answer was lost is sent again, ms
const RENEW_AGAIN = 60000 // after a renewal that failed, ms
const MAX_REFUSED = 3600 // a longer Retry-After is not believed, s
const REFUSED_FIRST = 10000 // after a login refused without Retry-After, ms; doubled each time
const REFUSED_LAST = 300000
const TRIP_LIFE = 50000 // of a code and nonce; the gateway knows them for a minute, ms

class Session {
  constructor(platform, gateway, record, options) {
    this.platform = platform
    this.gateway = gateway
    this.record = record
    this.appid = options.appid
    this.maxWait = options.maxWait
    this.onLogout = options.onLogout
    this.current = null // { id, token, since, renewAt, expiresAt }
    this.loggedOut = false // by logout(), until login()
    this.epoch = 0 // counts logouts, of any copy: what began before one must not log in after it
    this.seq = -1 // counts what was written to storage, by any copy of the client
    this.login = null // the login under way
    this.trip = null // { epoch, credential, until }: the login that a request carries
    this.renewing = null // the token that is being renewed
    this.refused = null // { since, until, error, asked }: the gateway wants no login for now
    this.refusals = 0 // since the last login
    this.sync()
  }

  sync() {
    const saved = this.record.read()
    if (!saved) return
    const seq = Number(saved.seq) || 0
    if (seq <= this.seq) return
    this.seq = seq
    const valid = typeof saved.token === 'string' && saved.token && saved.expiresAt > 0
    this.current = valid
      ? { id: saved.id, token: saved.token, since: saved.since, renewAt: saved.renewAt, expiresAt: saved.expiresAt }
      : null
    this.loggedOut = saved.loggedOut === true
    if (saved.epoch > this.epoch) {
      this.epoch = saved.epoch
      this.login = null
      this.trip = null
      this.onLogout(false)
    }
  }

  save() {
    this.seq++
    this.record.write(Object.assign({ seq: this.seq, epoch: this.epoch, loggedOut: this.loggedOut }, this.current))
  }

  keep(data, before) {
    const since = Date.now()
    const life = Math.max(0, Number(data.expires_in) || 0) * 1000
    const expiresAt = since + life
    const last = before && expiresAt <= before.expiresAt
    const id = before ? before.id : this.seq + 1 // tokens of one login share their end
    this.current = { id, token: data.token, since, expiresAt, renewAt: last ? expiresAt : since + life / 2 }
    this.save()
    return this.current
  }

  forget() {
    this.current = null
    this.save()
  }

  credential() {
    const trip = this.trip
    this.trip = null
    if (trip && Date.now() < trip.until) return trip.credential
    return this.newCode().then((code) => ({ code, nonce: makeNonce() }))
  }

  newCode() {
    return invoke(this.platform, 'login', { timeout: GATEWAY_TIMEOUT }, GATEWAY_TIMEOUT).promise.then((res) => {
      if (res.code) return res.code
      throw failure('login:fail no code', { data: res })
    })
  }

  exchange(attempt) {
    const wanted = () => attempt.epoch === this.epoch && !attempt.over
    if (!wanted()) return Promise.reject(loggedOut())
    if (this.isRefused()) return Promise.reject(this.refused.error)
    return this.credential()
      .then((body) => {
        if (this.appid) body.appid = this.appid
        return this.gateway.persist('POST', '/login', body, undefined, REPEATS, wanted)
      })
      .then((answer) => {
        if (hasToken(answer)) return answer.res.data
        const error = refusal('login', answer)
        if ((error.error === 'code_used' || error.error === 'code_rejected') && attempt.freshCode) {
          attempt.freshCode = false
          return this.exchange(attempt)
        }
        if (attempt.wait && error.retryAfter <= this.maxWait) {
          attempt.wait = false
          return pause(error.retryAfter * 1000).then(() => this.exchange(attempt))
        }
        this.refuse(error)
        throw error
      })
  }

  refuse(error) {
    const since = Date.now()
    const asked = error.retryAfter > 0
    const growing = Math.min(REFUSED_FIRST * Math.pow(2, this.refusals), REFUSED_LAST)
    const ms = asked ? Math.min(error.retryAfter, MAX_REFUSED) * 1000 : growing
    if (!asked) this.refusals++
    this.refused = { since, until: since + ms, error, asked }
  }

  isRefused() {
    const now = Date.now()
    return this.refused !== null && now >= this.refused.since && now < this.refused.until
  }

  logIn() {
    if (this.login) return this.login
    const attempt = { epoch: this.epoch, freshCode: true, wait: true, over: false }
    const exchanged = this.exchange(attempt).then((data) => {
      this.sync()
      if (attempt.over) throw timeout()
      if (attempt.epoch === this.epoch) {
        this.succeed()
        return this.keep(data)
      }
      const thrown = () => {
        throw loggedOut() // meanwhile; so what has come of it is ended
      }
      return this.end(data.token).then(thrown, thrown)
    })
    const run = within(exchanged, LOGIN_LIMIT, () => {
      attempt.over = true
      return timeout()
    })
    const done = () => {
      if (this.login === run) this.login = null
    }
    this.login = run
    run.then(done, done)
    return run
  }

  mayTrip() {
    this.sync()
    const alive = this.current && Date.now() < this.current.expiresAt
    const idle = !alive && !this.login && !this.trip && !this.loggedOut
    return idle && !this.isRefused() && !isSinglePage(this.platform)
  }

  beginTrip() {
    const credential = this.newCode().then((code) => ({ code, nonce: makeNonce(), appid: this.appid }))
    const trip = { epoch: this.epoch, credential, until: Date.now() + TRIP_LIFE }
    this.trip = trip
    credential.catch(() => {
      if (this.trip === trip) this.trip = null
    })
    return credential.then((given) => ({ trip, given }))
  }

  endTrip(trip, answer) {
    const header = answer.header || {}
    const token = /^Bearer (.+)$/.exec(header.authorization || '')
    this.sync()
    if (!token) {
      if (answer.code !== undefined && this.trip === trip) this.trip = null
      return null
    }
    if (this.trip === trip) this.trip = null
    if (trip.epoch !== this.epoch) {
      this.end(token[1]).catch(() => {})
      return null
    }
    this.succeed()
    if (this.current && this.current.token === token[1]) return this.current // of a login beside it
    return this.keep({ token: token[1], expires_in: header['x-wechat-expires-in'] })
  }

  succeed() {
    this.refused = null
    this.refusals = 0
  }

  begin() {
    if (isSinglePage(this.platform)) return Promise.reject(failure('login:fail not in single-page mode'))
    this.sync()
    if (this.refused && !this.refused.asked) this.refused = null
    if (this.loggedOut) {
      this.loggedOut = false
      this.save()
    }
    return this.logIn()
  }

  isAt(epoch) {
    this.sync()
    return epoch === this.epoch
  }

  ready(epoch) {
    if (!this.isAt(epoch)) return Promise.reject(loggedOut())
    if (this.current && Date.now() < this.current.expiresAt) {
      this.renew(this.current)
      return Promise.resolve(this.current)
    }
    if (this.loggedOut || isSinglePage(this.platform)) return Promise.resolve(null)
    return this.logIn()
  }

  renew(session) {
    if (this.renewing === session.token || this.login || Date.now() < session.renewAt) return
    this.renewing = session.token
    const failed = (seconds) => {
      session.renewAt = Date.now() + Math.max(RENEW_AGAIN, Math.min(seconds || 0, MAX_REFUSED) * 1000)
    }
    this.gateway
      .send('POST', '/renew', undefined, session.token)
      .then(
        (answer) => {
          this.sync()
          if (!this.current || this.current.token !== session.token) return // a login was faster; its token is newer
          if (hasToken(answer)) this.keep(answer.res.data, session)
          else if (answer.refusesToken()) this.forget()
          else failed(answer.retryAfter())
        },
        () => failed()
      )
      .then(() => {
        if (this.renewing === session.token) this.renewing = null
      })
  }

  replace(used, code, epoch, may) {
    if (!this.isAt(epoch) || this.loggedOut) return Promise.resolve(null)
    const ended = code === 'session_ended' && this.current && this.current.id === used.id
    if (this.current && this.current.token !== used.token && !ended) {
      if (!may.newer) may.login = false
      may.newer = false
      return Promise.resolve(this.current)
    }
    may.login = false
    if (this.current) this.forget()
    return isSinglePage(this.platform) ? Promise.resolve(null) : this.logIn()
  }

  refuses(session) {
    return this.gateway.send('GET', '/session', undefined, session.token).then(
      (answer) => (answer.refusesToken() ? answer.code : undefined),
      () => undefined
    )
  }

  end(token) {
    const always = () => true
    return this.gateway.persist('POST', '/logout', undefined, token, REPEATS.slice(0, 1), always).then((answer) => {
      if (answer.status >= 300 && answer.status !== 401) throw refusal('logout', answer)
    })
  }

  logout() {
    this.sync()
    const underWay = this.login
    const token = this.current && this.current.token
    this.epoch++
    this.login = null
    this.trip = null // what comes of it is ended
    this.current = null
    this.loggedOut = true
    this.save()
    this.onLogout(true)
    return Promise.resolve(underWay)
      .catch(() => {})
      .then(() => (token ? this.end(token) : undefined))
  }
}

function hasToken(answer) {
  const data = answer.res.data
  return answer.status === 200 && data && typeof data.token === 'string' && data.token !== ''
}

function loggedOut() {
  return failure('login:fail logged out')
}

function timeout() {
  return failure('login:fail timeout')
}

function makeNonce() {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const bytes = new Uint8Array(32)
  if (typeof crypto === 'object' && crypto.getRandomValues) crypto.getRandomValues(bytes)
  else for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(Math.random() * 256)
  return Array.from(bytes, (b) => alphabet[b & 63]).join('')
}

const EVENTS = ['HeadersReceived', 'ChunkReceived', 'ProgressUpdate']

class Listeners {
  constructor() {
    this.of = { HeadersReceived: [], ChunkReceived: [], ProgressUpdate: [] }
    this.onFirst = () => {} // is told of an event that somebody listens to now
  }

  has(event) {
    return this.of[event].length > 0
  }

  offer(promise) {
    EVENTS.forEach((event) => {
      promise['on' + event] = (listener) => {
        this.of[event].push(listener)
        this.onFirst(event)
      }
      promise['off' + event] = (listener) => {
        this.of[event] = listener ? this.of[event].filter((other) => other !== listener) : []
      }
    })
  }

  tell(event, res) {
    this.of[event].slice().forEach((listener) => {
      try {
        listener(res)
      } catch (err) {
        later(0, () => {
          throw err
        })
      }
    })
  }
}

class Attempt {
  constructor(kind, listeners, isFinal) {
    this.kind = kind
    this.listeners = listeners
    this.isFinal = isFinal // says whether an answer with these headers reaches the caller
    this.header = undefined // from an event
    this.task = null
    this.heard = {}
    this.held = []
    this.open = false
    this.closed = false
  }

  watch(task) {
    this.task = task
    this.heard = {}
    if (this.kind !== 'request') this.hear('HeadersReceived')
    EVENTS.filter((event) => this.listeners.has(event)).forEach((event) => this.hear(event))
  }

  hear(event) {
    if (event !== 'HeadersReceived') this.hear('HeadersReceived') // to know whose events they are
    const on = this.task && this.task['on' + event]
    if (this.heard[event] || typeof on !== 'function') return
    this.heard[event] = true
    try {
      on.call(this.task, (res) => this.take(event, res))
    } catch (e) {
    }
  }

  take(event, res) {
    if (this.closed) return
    if (event === 'HeadersReceived' && res && res.header) this.header = res.header
    const early = this.kind === 'uploadFile' && event === 'ProgressUpdate'
    if (this.open || early) return this.listeners.tell(event, res)
    this.held.push([event, res])
    if (event === 'HeadersReceived' && res && this.isFinal(new Answer(res))) this.deliver()
  }

  deliver() {
    const held = this.held
    this.open = true
    this.held = []
    held.forEach(([event, res]) => this.listeners.tell(event, res))
  }

  end(refused) {
    if (refused) this.held = this.held.filter(([event]) => event === 'HeadersReceived')
    this.deliver()
    this.drop()
  }

  drop() {
    this.closed = true
    this.held = []
  }
}

const MAX_COOKIES = 50 // cookies
const MAX_COOKIE = 4096 // of a cookie, in characters
const FOREVER = 8640000000000000 // the last moment that Date knows
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

class Jar {
  constructor(record) {
    this.record = record
    this.cookies = []
    this.count = 0 // of cookies, to know the oldest
    this.seq = -1 // counts what was written to storage, by any copy of the client
    this.sync()
  }

  sync() {
    const saved = this.record.read()
    if (!saved || !Array.isArray(saved.cookies) || !(saved.seq > this.seq)) return
    this.seq = saved.seq
    this.cookies = this.cookies.filter((cookie) => !cookie.persistent).concat(saved.cookies.filter(isCookie))
    this.cookies.forEach((cookie) => (this.count = Math.max(this.count, cookie.created)))
  }

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

  reload() {
    this.cookies = []
    this.seq = -1
    this.sync()
  }

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

function setCookies(answer) {
  const header = headersOf(answer.res.header) || answer.header || {}
  if (Array.isArray(answer.res.cookies) && answer.res.cookies.length) return answer.res.cookies.map(String)
  return header['set-cookie'] ? header['set-cookie'].split(/,(?=\s*[^\s;,=]+=)|\n/) : []
}

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

function domainMatches(host, domain) {
  if (host === domain) return true
  return host.slice(-domain.length - 1) === '.' + domain && !/^[\d.]+$/.test(host)
}

function pathMatches(path, prefix) {
  if (path === prefix) return true
  if (path.indexOf(prefix) !== 0) return false
  return prefix.charAt(prefix.length - 1) === '/' || path.charAt(prefix.length) === '/'
}

function parseDate(text) {
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

const MAX_TRIP_BODY = 65536 // of a request with a code, bytes
const LOGS_IN_ALONE = ['code_used', 'code_rejected', 'invalid_request', 'login_required', 'too_early', 'body_too_large']
const SAFE_TO_REPEAT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']

class Call {
  constructor(client, kind, given) {
    const settings = Object.assign({}, given)
    const { success, fail, complete } = settings
    this.client = client
    this.kind = kind
    this.guest = settings.guest
    client.session.sync()
    this.epoch = client.session.epoch
    this.may = { login: true, newer: true, wait: true }
    this.listeners = new Listeners()
    this.attempt = null // the latest
    this.refusedFile = null // what a refusal was saved as
    this.over = false
    this.cancel = () => {} // ends the step under way
    this.settings = settings
    ;['success', 'fail', 'complete', 'guest'].forEach((key) => delete settings[key])
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    tell(this.promise, success, fail, complete)
    this.promise.abort = () => this.stop({ errMsg: kind + ':fail abort' })
    this.listeners.offer(this.promise)
    this.listeners.onFirst = (event) => this.attempt && this.attempt.hear(event)
    this.start()
  }

  start() {
    const limit = timeLimit(this.settings)
    this.deadline = limit === undefined ? Infinity : Date.now() + limit
    if (limit !== undefined) this.timer = later(limit, () => this.stop({ errMsg: this.kind + ':fail timeout' }))
    new Promise((resolve) => {
      this.settings.url = target(this.client.base, this.settings.url)
      resolve(this.mayTrip() ? this.trip() : this.begin())
    }).then(
      (answer) => this.finish(answer),
      (err) => this.stop(err)
    )
  }

  begin() {
    return Promise.resolve(this.session())
      .then((session) => this.check(session))
      .then((session) => this.send(session))
  }

  mayTrip() {
    if (!this.client.oneTrip || this.guest || this.kind !== 'request') return false
    return sizeOf(this.settings.data) <= MAX_TRIP_BODY && this.client.session.mayTrip()
  }

  trip() {
    const session = this.client.session
    return session.beginTrip().then(({ trip, given }) =>
      this.transmit(given).then((answer) => {
        const now = session.endTrip(trip, answer)
        if (now || answer.code === undefined) return this.judge(now, answer)
        this.attempt.drop()
        if (LOGS_IN_ALONE.indexOf(answer.code) >= 0) return this.begin()
        if (this.waits(answer) !== undefined) return this.judge(null, answer)
        const err = refusal('login', answer)
        session.refuse(err)
        throw err
      })
    )
  }

  stop(err) {
    if (!this.close()) return
    if (this.attempt) this.attempt.drop() // first, as an abort may tell events
    this.cancel(err)
    this.reject(err)
  }

  finish(answer) {
    if (!this.close()) return
    this.attempt.end(answer.code !== undefined)
    this.resolve(answer.result())
  }

  close() {
    if (this.over) return false
    this.over = true
    clearTimeout(this.timer)
    removeFile(this.client.platform, this.refusedFile)
    return true
  }

  session() {
    return this.guest ? null : this.client.session.ready(this.epoch)
  }

  check(session) {
    if (!session || this.over || this.kind !== 'uploadFile' || !this.listeners.has('ProgressUpdate')) return session
    const probe = new Call(this.client, 'request', { url: this.client.prefix + '/session' })
    this.cancel = (err) => probe.stop(err)
    const go = () => (this.over || !this.client.session.isAt(this.epoch) ? session : this.session())
    return probe.promise.then(go, go)
  }

  send(session) {
    return this.transmit(session).then((answer) => this.judge(session, answer))
  }

  judge(session, answer) {
    const seconds = this.waits(answer)
    if (seconds !== undefined) {
      this.may.wait = false
      this.attempt.drop()
      return this.pause(seconds).then(() => {
        if (!this.guest && !this.client.session.isAt(this.epoch)) return answer
        return Promise.resolve(this.session()).then((other) => this.send(other))
      })
    }
    if (!session || !this.may.login || !answer.refusesToken()) return answer
    return this.client.session.replace(session, answer.code, this.epoch, this.may).then((other) => {
      if (!other) return answer
      this.attempt.drop()
      return this.send(other)
    })
  }

  waits(answer) {
    const seconds = answer.retryAfter()
    if (seconds === undefined || seconds > this.client.maxWait || !this.may.wait) return undefined
    if (Date.now() + seconds * 1000 >= this.deadline) return undefined
    return answer.code !== undefined || SAFE_TO_REPEAT.indexOf(this.method()) >= 0 ? seconds : undefined
  }

  method() {
    return this.kind === 'uploadFile' ? 'POST' : String(this.settings.method || 'GET').toUpperCase()
  }

  pause(seconds) {
    return new Promise((resolve) => {
      const timer = later(seconds * 1000, resolve)
      this.cancel = () => clearTimeout(timer)
    })
  }

  transmit(session) {
    return new Promise((resolve, reject) => {
      if (this.over) return // nobody waits for it
      let begun = false
      const withdraw = this.client.queues[this.kind].enter((leave) => {
        begun = true
        const attempt = new Attempt(this.kind, this.listeners, (answer) => this.isFinal(answer))
        this.attempt = attempt
        const options = Object.assign({}, this.settings, { header: this.header(session) })
        const limit = timeLimit(this.settings) || this.client.timeout
        const sent = invoke(this.client.platform, this.kind, options, limit, (task) => attempt.watch(task))
        this.cancel = sent.cancel
        sent.promise.then(leave, leave)
        sent.promise.then((res) => this.read(res, session)).then(resolve, reject)
      }, reject)
      if (!begun) this.cancel = withdraw
    })
  }

  header(session) {
    const header = withToken(this.settings.header, session)
    const jar = this.jar()
    return jar ? jar.addTo(header, this.settings.url) : header
  }

  jar() {
    return this.client.jar && this.client.session.isAt(this.epoch) ? this.client.jar : null
  }

  read(res, session) {
    const answer = new Answer(res, this.attempt.header)
    if (answer.header || answer.status !== 401 || !session || !session.token) return this.note(answer)
    return this.client.session.refuses(session).then((code) => {
      answer.code = code
      return this.note(answer)
    })
  }

  note(answer) {
    if (this.over) return answer
    const jar = answer.code === undefined ? this.jar() : null
    if (jar) jar.take(answer, this.settings.url)
    if (this.kind === 'downloadFile') {
      this.refusedFile = answer.code === undefined ? null : answer.res.filePath || this.settings.filePath
      if (answer.code !== undefined) removeFile(this.client.platform, answer.res.tempFilePath)
    }
    return answer
  }

  isFinal(answer) {
    return answer.code === undefined && this.waits(answer) === undefined
  }
}

function timeLimit(settings) {
  const ms = Number(settings.timeout)
  return ms > 0 ? ms : undefined
}

function target(base, url) {
  if (typeof url === 'string') {
    if (url.charAt(0) === '/') return base + url
    if (url === base || url.indexOf(base + '/') === 0 || url.indexOf(base + '?') === 0) return url
  }
  throw new TypeError('url must begin with / or with baseURL')
}

function withToken(header, session) {
  const all = Object.assign({}, header)
  if (!session) return all
  Object.keys(all).forEach((name) => {
    if (name.toLowerCase() === 'authorization') delete all[name]
  })
  all.Authorization = session.token ? 'Bearer ' + session.token : withCode(session)
  return all
}

function withCode({ code, nonce, appid }) {
  return `WeChat-Code code="${code}", nonce="${nonce}"` + (appid ? `, appid="${appid}"` : '')
}

function sizeOf(data) {
  if (data === undefined || data === null) return 0
  if (typeof data.byteLength === 'number') return data.byteLength
  try {
    return 3 * (typeof data === 'string' ? data : JSON.stringify(data)).length
  } catch (e) {
    return Infinity
  }
}

function tell(promise, success, fail, complete) {
  if (!success && !fail && !complete) return false
  promise.then(
    (res) => callBack(success, complete, res),
    (err) => callBack(fail, complete, err)
  )
  return true
}

function callBack(first, complete, value) {
  try {
    if (first) first(value)
  } finally {
    if (complete) complete(value)
  }
}

const OTHERS = ['path', 'config', 'service', 'verbose', 'followRedirect', 'success', 'fail', 'complete']

function callContainer(client, given) {
  const settings = Object.assign({}, given)
  const { path, success, fail, complete } = settings
  OTHERS.forEach((key) => delete settings[key])
  if (given.followRedirect === false) settings.redirect = 'manual'
  settings.url = String(path).charAt(0) === '/' ? path : '/' + path
  if (given.service) settings.header = Object.assign({ 'X-WX-SERVICE': given.service }, settings.header)
  const promise = new Call(client, 'request', settings).promise.then(
    (res) =>
      Object.assign({}, res, {
        errMsg: 'cloud.callContainer:ok',
        cookies: res.cookies || [],
        callID: getHeader(res, 'x-wx-call-id') || getHeader(res, 'x-request-id') || ''
      }),
    (err) => {
      const fields = Object.assign({}, err, { errMsg: undefined })
      delete fields.errMsg
      const reason = String((err && err.errMsg) || err).replace(/^\w+:fail /, '')
      throw failure('cloud.callContainer:fail ' + reason, Object.assign({ errCode: -1 }, fields))
    }
  )
  return tell(promise, success, fail, complete) ? undefined : promise
}

function openSocket(client, given) {
  const settings = Object.assign({}, given)
  const { success, fail, complete, guest } = settings
  const limit = timeLimit(settings)
  const session = client.session
  session.sync()
  const epoch = session.epoch
  let over = false
  let told = false
  const tell = (callback, value) => {
    if (told) return
    told = true
    callBack(callback, complete, value)
  }
  const timeout = () => {
    over = true
    return { errMsg: 'connectSocket:fail timeout' }
  }
  const check = (ready) => {
    if (!ready) return null
    const probe = { url: client.prefix + '/session' }
    if (limit) probe.timeout = limit
    return new Call(client, 'request', probe).promise.then((res) => {
      if (Number(res.statusCode) !== 200) throw refusal('connectSocket', new Answer(res))
      if (!session.isAt(epoch)) throw failure('connectSocket:fail logged out')
      return session.current
    })
  }
  const connect = (ready) => {
    if (over) throw timeout()
    const header = withToken(settings.header, ready)
    const jar = session.isAt(epoch) ? client.jar : null
    const options = Object.assign({}, settings, {
      url: settings.url.replace(/^http/i, 'ws'),
      header: jar ? jar.addTo(header, settings.url) : header
    })
    const task = new Promise((resolve, reject) => {
      options.success = (res) => tell(success, res)
      options.fail = (err) => {
        reject(err)
        tell(fail, err)
      }
      resolve(client.platform.connectSocket(options))
    })
    task.then(
      (late) => over && closeSocket(late),
      () => {}
    )
    return within(task, client.timeout, timeout)
  }
  ;['success', 'fail', 'complete', 'guest'].forEach((key) => delete settings[key])
  const opened = new Promise((resolve) => {
    settings.url = target(client.base, String(settings.url).replace(/^ws(s?:)/i, 'http$1'))
    resolve(guest ? null : session.ready(epoch))
  })
    .then(check)
    .then(connect)
  const bounded = limit ? within(opened, limit, timeout) : opened
  bounded.catch((err) => tell(fail, err))
  return bounded
}

function closeSocket(task) {
  try {
    task.close({})
  } catch (e) {
  }
}

const MAX_PATHS = 50 // in one request for signatures
const MAX_TEXT = 60000 // of their paths, in characters
const PICTURES = [1048, 1049] // scenes: the code came from a picture, which somebody may have sent

function ask(client, what, path, data) {
  const options = { url: client.prefix + path }
  if (data) Object.assign(options, { method: 'POST', data, header: { 'content-type': 'application/json' } })
  return new Call(client, 'request', options).promise.then((res) => {
    const answer = new Answer(res)
    if (answer.status < 200 || answer.status > 299) throw refusal(what, answer)
    return res.data
  })
}

function pathOf(client, url) {
  return target(client.base, url).slice(originOf(client).length) || '/'
}

function originOf(client) {
  return /^https?:\/\/[^/]+/i.exec(client.base)[0]
}

function attempt(make) {
  return new Promise((resolve) => resolve(make()))
}

function webViewURL(client, url) {
  return attempt(() => ask(client, 'webViewURL', '/ticket', { to: pathOf(client, url) })).then((data) => data.url)
}

class Signer {
  constructor(client) {
    this.client = client
    this.known = {} // by time and path: { url, again, promise }
    this.owner = '' // whose they are
    this.wanted = []
  }

  sign(url, expiresIn) {
    return attempt(() => {
      const path = pathOf(this.client, url)
      this.forgetOthers()
      const key = (expiresIn || '') + ' ' + path
      const known = this.known[key]
      if (known && Date.now() < known.again) return known.promise
      const entry = { path, expiresIn, again: Infinity }
      entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }))
      entry.promise.catch(() => {
        if (this.known[key] === entry) delete this.known[key]
      })
      this.known[key] = entry
      this.wanted.push(entry)
      if (this.wanted.length === 1) Promise.resolve().then(() => this.flush())
      return entry.promise
    })
  }

  forgetOthers() {
    const session = this.client.session
    session.sync()
    const owner = session.epoch + ' ' + (session.current ? session.current.id : '')
    if (owner !== this.owner) this.known = {}
    this.owner = owner
  }

  flush() {
    const wanted = this.wanted
    this.wanted = []
    Object.keys(this.known).forEach((key) => {
      if (this.known[key].again <= Date.now()) delete this.known[key]
    })
    let batch = []
    let size = 0
    wanted.forEach((entry) => {
      const fits = batch.length < MAX_PATHS && size + entry.path.length < MAX_TEXT
      if (batch.length && (!fits || batch[0].expiresIn !== entry.expiresIn)) {
        this.request(batch)
        batch = []
        size = 0
      }
      batch.push(entry)
      size += entry.path.length
    })
    this.request(batch)
  }

  request(batch) {
    const one = batch.length === 1
    const data = one ? { path: batch[0].path } : { paths: batch.map((entry) => entry.path) }
    if (batch[0].expiresIn) data.expires_in = batch[0].expiresIn
    ask(this.client, 'signedURL', '/sign', data).then(
      (answer) => {
        const urls = one ? [answer.url] : answer.urls
        batch.forEach((entry, i) => this.settle(entry, urls && urls[i], answer.expires_in))
      },
      (err) => {
        if (!one && err.statusCode === 400) batch.forEach((entry) => this.request([entry]))
        else batch.forEach((entry) => entry.reject(err))
      }
    )
  }

  settle(entry, url, expiresIn) {
    if (typeof url !== 'string') return entry.reject(failure('signedURL:fail no url'))
    entry.again = Date.now() + (Number(expiresIn) || 0) * 500
    entry.resolve(url.charAt(0) === '/' ? originOf(this.client) + url : url)
  }
}

function scanner(client) {
  const send = (verb, data) => {
    if (verb !== 'deny' && PICTURES.indexOf(entryScene(client.platform)) >= 0) {
      return Promise.reject(failure('scan:fail the code came from a picture', { error: 'scan_picture' }))
    }
    return ask(client, 'scan', '/scan/' + verb, data)
  }
  return {
    describe: (scene) => send('describe', { scene }),
    approve: (scene, number) => send('approve', { scene, number }),
    deny: (scene) => send('deny', { scene })
  }
}

const STALE = 'session_key_stale'

function openData(client, source, given) {
  const settings = Object.assign({}, given)
  const { success, fail, complete } = settings
  ;['success', 'fail', 'complete'].forEach((key) => delete settings[key])
  const limit = timeLimit(settings)
  const session = client.session
  session.sync()
  const epoch = session.epoch
  let over = false
  const timeout = () => {
    over = true
    return { errMsg: 'openData:fail timeout' }
  }
  const obtain = () => Promise.resolve(typeof source === 'function' ? source() : source).then(bodyOf)
  const send = () =>
    obtain().then((data) => {
      if (over) throw timeout()
      if (!session.isAt(epoch)) throw failure('openData:fail logged out')
      if (!given) return data
      const options = Object.assign({ method: 'POST' }, settings, { data: Object.assign({}, settings.data, data) })
      return new Call(client, 'request', options).promise
    })
  const told = session
    .ready(epoch)
    .then(send)
    .then((res) => {
      if (!given || !isStale(res)) return res
      if (!session.isAt(epoch)) return res
      return session.begin().then(() => {
        if (typeof source === 'function') return send()
        throw failure('openData:fail ' + STALE, { error: STALE, statusCode: res.statusCode, data: res.data })
      })
    })
  const promise = limit ? within(told, limit, timeout) : told
  tell(promise, success, fail, complete)
  return promise
}

function bodyOf(res) {
  const { encryptedData, iv } = res || {}
  if (!encryptedData || !iv) throw failure('openData:fail no encryptedData', { data: res })
  return { encrypted_data: encryptedData, iv }
}

function isStale(res) {
  let data = res.data
  try {
    if (typeof data === 'string') data = JSON.parse(data)
  } catch (e) {
    return false
  }
  return Number(res.statusCode) === 409 && Boolean(data) && data.error === STALE
}

const CALL_TIMEOUT = 60000 // of a call without one of its own, as wx has it

function createClient(options) {
  const platform = options.wx || (typeof wx === 'undefined' ? undefined : wx)
  const base = String(options.baseURL).replace(/\/+$/, '')
  const prefix = options.prefix === undefined ? '/wechat' : String(options.prefix).replace(/\/+$/, '')
  if (!platform) throw new TypeError('no wx: pass it to createClient')
  if (!/^https?:\/\/[^/?#@\\\s]+(\/[^?#\\\s]*)?$/i.test(base))
    throw new TypeError('baseURL must be like https://example.com')
  if (prefix.charAt(0) !== '/') throw new TypeError('prefix must begin with /')

  const key = 'caddy-wechat ' + (options.appid || '') + ' ' + base + prefix
  const maxWait = options.maxRetryAfter === undefined ? 10 : options.maxRetryAfter // seconds
  const jar = options.cookies ? new Jar(new Record(platform, key + ' cookies')) : null
  const session = new Session(platform, new Gateway(platform, base, prefix), new Record(platform, key), {
    appid: options.appid,
    maxWait,
    onLogout: (own) => jar && (own ? jar.clear() : jar.reload()) // cookies know the user, too
  })
  const client = {
    platform,
    base,
    prefix,
    session,
    jar,
    maxWait,
    oneTrip: options.oneTrip === true,
    timeout: options.timeout > 0 ? options.timeout : CALL_TIMEOUT,
    queues: { request: new Queue(8), uploadFile: new Queue(10), downloadFile: new Queue(10) }
  }
  const signer = new Signer(client)
  const call = (kind) => (given) => new Call(client, kind, given).promise

  return {
    request: call('request'),
    uploadFile: call('uploadFile'),
    downloadFile: call('downloadFile'),
    callContainer: (given) => callContainer(client, given),
    openData: (source, given) => openData(client, source, given),
    connectSocket: (given) => openSocket(client, given),
    webViewURL: (url) => webViewURL(client, url),
    signedURL: (url, more) => signer.sign(url, more && more.expiresIn),
    scan: scanner(client),
    session: () => ask(client, 'session', '/session'),
    login: () =>
      session.begin().then((now) => ({ token: now.token, expires_in: Math.round((now.expiresAt - now.since) / 1000) })),
    logout: () => session.logout()
  }
}

if (typeof module === 'object' && module.exports) module.exports = { createClient, getHeader }
else root.caddyWechat = { createClient, getHeader }
})(typeof globalThis === 'object' ? globalThis : this)
