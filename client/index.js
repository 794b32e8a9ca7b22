// caddy-wechat client: logs a WeChat Mini Program in at the gateway and sends
// its requests with the token. One file, no dependencies, no build step.
// It is also read by browsers as a plain script, for the playground.
(function (root, api) {
  if (typeof module === 'object' && module.exports) module.exports = api
  else root.caddyWechat = api
})(typeof globalThis === 'object' ? globalThis : this, (function () {
  'use strict'

  const SINGLE_PAGE = 1154 // scene of a page shown in Moments: no wx.login there
  const TIMEOUT = 10000 // of login, renew and logout; the gateway gives WeChat 5 s
  const REPEATS = [500, 2000] // pauses before a login whose answer was lost is sent again, ms
  const RENEW_AGAIN = 60000 // after a renewal that failed, ms
  const MAX_REFUSED = 3600 // a longer Retry-After is not believed, s
  // wx runs 10 of a kind at once. Two places stay free for login and renew, or
  // slow requests could keep out the login that others wait for.
  const PLACES = { request: 8, uploadFile: 10, downloadFile: 10 }
  const TASK_METHODS = ['onHeadersReceived', 'offHeadersReceived', 'onChunkReceived', 'offChunkReceived', 'onProgressUpdate', 'offProgressUpdate']
  const NEEDS_LOGIN = ['login_required', 'session_expired', 'session_ended']
  const TRY_LATER = ['rate_limited', 'wechat_unavailable', 'store_unavailable']
  const SAFE_TO_REPEAT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']

  // getHeader reads a header of a result; platforms spell names differently.
  function getHeader(res, name) {
    const header = (res && res.header) || {}
    const found = Object.keys(header).find((key) => key.toLowerCase() === name.toLowerCase())
    return found === undefined ? undefined : String(header[found])
  }

  // errorCode is the gateway's word for what went wrong, if it was the gateway.
  function errorCode(res) {
    let data = res.data
    try {
      if (typeof ArrayBuffer === 'function' && data instanceof ArrayBuffer && data.byteLength < 4096) {
        data = String.fromCharCode.apply(null, new Uint8Array(data))
      }
      if (typeof data === 'string') data = JSON.parse(data)
    } catch (e) {
      return undefined
    }
    return data && typeof data.error === 'string' ? data.error : undefined
  }

  // refusesToken tells the gateway's 401 from one of the app behind it. Answers
  // to HEAD and to downloads have no body to look at.
  function refusesToken(res) {
    if (res.statusCode !== 401) return false
    const code = errorCode(res)
    if (code !== undefined) return NEEDS_LOGIN.indexOf(code) >= 0
    const bodiless = res.data === undefined || res.data === null || res.data === ''
    return bodiless && /^bearer\b/i.test(getHeader(res, 'www-authenticate') || '')
  }

  // retryAfter is how many seconds a 429 or 503 asks to wait.
  function retryAfter(res) {
    if (res.statusCode !== 429 && res.statusCode !== 503) return undefined
    const value = getHeader(res, 'retry-after')
    if (value === undefined) return undefined
    const seconds = /^\s*\d+\s*$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000)
    return isNaN(seconds) ? undefined : Math.max(0, seconds)
  }

  function failure(text, fields) {
    return Object.assign(new Error(text), { errMsg: text }, fields)
  }

  // refusal is the error for an answer that is not what was asked for.
  function refusal(what, res) {
    const code = errorCode(res)
    return failure(what + ':fail ' + (code || 'HTTP ' + res.statusCode), {
      error: code, statusCode: res.statusCode, retryAfter: retryAfter(res), data: res.data, header: res.header
    })
  }

  function pause(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms))
  }

  // makeNonce lets the gateway know the repeated login as ours. The code beside
  // it is what keeps strangers out, so Math.random will do where nothing better
  // is to be had.
  function makeNonce() {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const bytes = new Uint8Array(32)
    if (typeof crypto === 'object' && crypto.getRandomValues) crypto.getRandomValues(bytes)
    else for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(Math.random() * 256)
    return Array.from(bytes, (b) => alphabet[b & 63]).join('')
  }

  function createClient(options) {
    const wx = options.wx || root().wx
    const base = String(options.baseURL).replace(/\/+$/, '')
    const prefix = options.prefix === undefined ? '/wechat' : String(options.prefix).replace(/\/+$/, '')
    const maxWait = options.maxRetryAfter === undefined ? 10 : options.maxRetryAfter // seconds
    const storageKey = 'caddy-wechat ' + (options.appid || '') + ' ' + base + prefix
    if (!wx) throw new TypeError('no wx: pass it to createClient')
    if (!/^https?:\/\/[^/?#@\\\s]+(\/[^?#\\\s]*)?$/i.test(base)) throw new TypeError('baseURL has to be like https://example.com')
    if (prefix.charAt(0) !== '/') throw new TypeError('prefix has to begin with /')

    let current = null // the session: { id, token, since, renewAt, expiresAt }
    let loggedOut = false // by logout(), until login()
    let epoch = 0 // counts logouts: what began before one must not log in after it
    let ids = 0 // counts logins: tokens of one login share their end
    let login = null // the login under way
    let renewing = null // the session that is being renewed
    let refused = null // { since, until, error }: the gateway wants no login for now
    load()

    // ---- the session, in memory and in storage

    function load() {
      let saved
      try { saved = wx.getStorageSync(storageKey) } catch (e) { /* then without */ }
      if (!saved) return
      loggedOut = saved.loggedOut === true
      if (typeof saved.token === 'string' && saved.token && saved.expiresAt > 0) current = Object.assign({}, saved, { id: ++ids })
    }

    function save() {
      try {
        if (current || loggedOut) wx.setStorageSync(storageKey, loggedOut ? { loggedOut } : current)
        else wx.removeStorageSync(storageKey)
      } catch (e) { /* storage may be full or denied; memory has it */ }
    }

    // keep takes a token. A renewed one that lives no longer than the one before
    // is the session's last, so it is not renewed again.
    function keep(answer, before) {
      const since = Date.now()
      const life = Math.max(0, Number(answer.expires_in) || 0) * 1000
      const expiresAt = since + life
      const last = before && expiresAt <= before.expiresAt
      current = { id: before ? before.id : ++ids, token: answer.token, since, expiresAt, renewAt: last ? expiresAt : since + life / 2 }
      save()
      return current
    }

    function forget() {
      current = null
      save()
    }

    // ---- talking to the gateway

    function gateway(method, path, data, token) {
      return new Promise((success, fail) => {
        const header = { 'content-type': 'application/json' }
        if (token) header.Authorization = 'Bearer ' + token
        quiet(wx.request({ url: base + prefix + path, method, data, header, timeout: TIMEOUT, dataType: 'json', success, fail }))
      })
    }

    // persist repeats a call whose answer was lost.
    function persist(send, pauses) {
      return send().catch((lost) => {
        if (!pauses.length) throw lost
        return pause(pauses[0]).then(() => persist(send, pauses.slice(1)))
      })
    }

    function newCode() {
      return new Promise((resolve, fail) => {
        quiet(wx.login({
          timeout: TIMEOUT,
          success: (res) => res.code ? resolve(res.code) : fail(failure('login:fail no code', { data: res })),
          fail
        }))
      })
    }

    // exchange turns a code of wx.login into a token. It takes at most one fresh
    // code and waits at most once.
    function exchange(began, may) {
      if (began !== epoch) return Promise.reject(failure('login:fail logged out'))
      if (refused && Date.now() >= refused.since && Date.now() < refused.until) return Promise.reject(refused.error)
      return newCode().then((code) => {
        const body = { code, nonce: makeNonce() }
        if (options.appid) body.appid = options.appid
        return persist(() => gateway('POST', '/login', body), REPEATS)
      }).then((res) => {
        if (res.statusCode === 200 && res.data && typeof res.data.token === 'string' && res.data.token) return res.data
        const error = refusal('login', res)
        if ((error.error === 'code_used' || error.error === 'code_rejected') && may.freshCode) {
          may.freshCode = false
          return exchange(began, may)
        }
        if (error.retryAfter !== undefined) {
          if (may.wait && error.retryAfter <= maxWait) {
            may.wait = false
            return pause(error.retryAfter * 1000).then(() => exchange(began, may))
          }
          const since = Date.now()
          refused = { since, until: since + Math.min(error.retryAfter, MAX_REFUSED) * 1000, error }
        }
        throw error
      })
    }

    // logIn starts a login, or joins the one under way.
    function logIn() {
      if (login) return login
      const began = epoch
      const run = exchange(began, { freshCode: true, wait: true }).then((answer) => {
        if (began === epoch) return keep(answer)
        const error = failure('login:fail logged out') // meanwhile; so end what has come of it
        return end(answer.token).then(() => { throw error }, () => { throw error })
      })
      const over = () => { if (login === run) login = null }
      login = run
      run.then(over, over)
      return run
    }

    function isSinglePage() {
      const get = wx.getEnterOptionsSync || wx.getLaunchOptionsSync
      try { return !!get && get.call(wx).scene === SINGLE_PAGE } catch (e) { return false }
    }

    // ready gives the session to send a request with: null for none.
    function ready() {
      if (current && Date.now() < current.expiresAt) {
        renew(current)
        return Promise.resolve(current)
      }
      if (loggedOut || isSinglePage()) return Promise.resolve(null)
      return logIn()
    }

    // renew runs beside the requests; none waits for it.
    function renew(session) {
      if (renewing === session || login || Date.now() < session.renewAt) return
      renewing = session
      gateway('POST', '/renew', undefined, session.token).then((res) => {
        if (current !== session) return // a login was faster; its token is newer
        if (res.statusCode === 200 && res.data && res.data.token) keep(res.data, session)
        else if (refusesToken(res)) forget()
        else session.renewAt = Date.now() + Math.max(RENEW_AGAIN, Math.min(retryAfter(res) || 0, MAX_REFUSED) * 1000)
      }, () => { session.renewAt = Date.now() + RENEW_AGAIN }).then(() => {
        if (renewing === session) renewing = null
      })
    }

    // replace finds another session than the one that was refused; null if the
    // refusal is to reach the caller.
    function replace(used, res, began, may) {
      if (began !== epoch || loggedOut) return Promise.resolve(null)
      const ended = errorCode(res) === 'session_ended' && current && current.id === used.id
      if (current && current.token !== used.token && !ended) { // somebody else was here already
        if (!may.newer) may.login = false
        may.newer = false
        return Promise.resolve(current)
      }
      may.login = false
      if (current) forget()
      return isSinglePage() ? Promise.resolve(null) : logIn()
    }

    function end(token) {
      return persist(() => gateway('POST', '/logout', undefined, token), REPEATS.slice(0, 1)).then((res) => {
        // A 401 is as good as a 204: the token was worth nothing any more.
        if (res.statusCode >= 300 && res.statusCode !== 401) throw refusal('logout', res)
      })
    }

    // ---- calls of the app

    function target(url) {
      if (typeof url === 'string' && url.charAt(0) === '/') return base + url
      if (url === base || (typeof url === 'string' && (url.indexOf(base + '/') === 0 || url.indexOf(base + '?') === 0))) return url
      // Another server must not get the token.
      throw new TypeError('url has to begin with / or with baseURL')
    }

    function withToken(header, session) {
      const all = Object.assign({}, header)
      if (!session) return all
      Object.keys(all).forEach((name) => { if (name.toLowerCase() === 'authorization') delete all[name] })
      all.Authorization = 'Bearer ' + session.token
      return all
    }

    const waiting = { request: [], uploadFile: [], downloadFile: [] }
    const running = { request: 0, uploadFile: 0, downloadFile: 0 }

    // inTurn runs a function that returns a promise when there is a free place.
    function inTurn(name, work) {
      return new Promise((resolve, reject) => {
        waiting[name].push(() => work().then(resolve, reject))
        next(name)
      })
    }

    function next(name) {
      while (running[name] < PLACES[name] && waiting[name].length) {
        const free = () => { running[name]--; next(name) }
        running[name]++
        waiting[name].shift()().then(free, free)
      }
    }

    function call(name, given) {
      const settings = Object.assign({}, given)
      const { success, fail, complete, guest } = settings;
      ['success', 'fail', 'complete', 'guest'].forEach((key) => delete settings[key])
      const began = epoch
      const may = { login: true, newer: true, wait: true }
      const listeners = []
      let native = null
      let aborted = false

      const transmit = (session) => inTurn(name, () => new Promise((resolve, reject) => {
        if (aborted) return reject({ errMsg: name + ':fail abort' })
        native = wx[name](Object.assign({}, settings, { header: withToken(settings.header, session), success: resolve, fail: reject }))
        listeners.forEach(([method, listener]) => { if (native && native[method]) native[method](listener) })
        quiet(native)
      }))
      const send = (session) => transmit(session).then((res) => {
        const seconds = retryAfter(res)
        if (seconds !== undefined && seconds <= maxWait && may.wait && mayRepeat(name, settings, res)) {
          may.wait = false
          return pause(seconds * 1000).then(start).then(send)
        }
        if (!session || !may.login || !refusesToken(res)) return res
        return replace(session, res, began, may).then((other) => other ? send(other) : res)
      })
      const start = () => guest ? null : ready()

      let drop
      const promise = new Promise((resolve, reject) => {
        drop = reject
        settings.url = target(settings.url)
        Promise.resolve(start()).then(resolve, reject)
      }).then(send)
      tell(promise, success, fail, complete)
      promise.abort = () => {
        aborted = true
        drop({ errMsg: name + ':fail abort' }) // if it still waits for a login
        if (native && native.abort) native.abort()
      }
      TASK_METHODS.forEach((method) => {
        promise[method] = (listener) => {
          listeners.push([method, listener])
          if (native && native[method]) native[method](listener)
        }
      })
      return promise
    }

    // A 401 at a handshake does not show everywhere as one, so the token is
    // tried on the gateway before the socket is opened with it.
    function connectSocket(given) {
      const settings = Object.assign({}, given)
      const { success, fail, complete, guest } = settings
      delete settings.guest
      return new Promise((resolve) => {
        settings.url = target(String(settings.url).replace(/^ws(s?:)/i, 'http$1')).replace(/^http/i, 'ws')
        resolve(guest ? null : ready())
      }).then((session) => {
        if (!session) return null
        return call('request', { url: prefix + '/session' }).then((res) => {
          if (res.statusCode !== 200) throw refusal('connectSocket', res)
          return current
        })
      }).catch((err) => {
        if (fail) fail(err)
        if (complete) complete(err)
        throw err
      }).then((session) => wx.connectSocket(Object.assign({}, settings, {
        header: withToken(settings.header, session),
        success: success || (() => {}) // uni-app returns the task only if there is a callback
      })))
    }

    // callContainer has the options and results of wx.cloud.callContainer
    // (微信云托管), so that a front end changes one import. What names the
    // environment there names nothing here.
    function callContainer(given) {
      const settings = Object.assign({}, given)
      const { path, success, fail, complete } = settings;
      ['path', 'config', 'service', 'verbose', 'followRedirect', 'success', 'fail', 'complete'].forEach((key) => delete settings[key])
      if (given.followRedirect === false) settings.redirect = 'manual'
      settings.url = String(path).charAt(0) === '/' ? path : '/' + path
      if (given.service) settings.header = Object.assign({ 'X-WX-SERVICE': given.service }, settings.header)
      const promise = call('request', settings).then((res) => Object.assign({}, res, {
        errMsg: 'cloud.callContainer:ok',
        cookies: res.cookies || [],
        callID: getHeader(res, 'x-wx-call-id') || getHeader(res, 'x-request-id') || ''
      }), (err) => {
        throw failure('cloud.callContainer:fail ' + String((err && err.errMsg) || err).replace(/^\w+:fail /, ''), Object.assign({ errCode: -1 }, plain(err)))
      })
      if (!tell(promise, success, fail, complete)) return promise
      return undefined // as there: callbacks or a promise
    }

    return {
      request: (given) => call('request', given),
      callContainer,
      uploadFile: (given) => call('uploadFile', given),
      downloadFile: (given) => call('downloadFile', given),
      connectSocket,
      session() {
        return call('request', { url: prefix + '/session' }).then((res) => {
          if (res.statusCode !== 200) throw refusal('session', res)
          return res.data
        })
      },
      login() {
        if (isSinglePage()) return Promise.reject(failure('login:fail not in single-page mode'))
        if (loggedOut) {
          loggedOut = false
          save()
        }
        return logIn().then((session) => ({ token: session.token, expires_in: Math.round((session.expiresAt - session.since) / 1000) }))
      },
      logout() {
        const underWay = login
        const token = current && current.token
        epoch++
        login = null
        current = null
        loggedOut = true
        save()
        return Promise.resolve(underWay).catch(() => {}).then(() => token ? end(token) : undefined)
      }
    }
  }

  function mayRepeat(name, settings, res) {
    const method = name === 'uploadFile' ? 'POST' : String(settings.method || 'GET').toUpperCase()
    // The gateway's own refusals never reached the app.
    return SAFE_TO_REPEAT.indexOf(method) >= 0 || TRY_LATER.indexOf(errorCode(res)) >= 0
  }

  // tell calls wx's callbacks, and says whether there are any.
  function tell(promise, success, fail, complete) {
    if (!success && !fail && !complete) return false
    promise.then((res) => {
      if (success) success(res)
      if (complete) complete(res)
    }, (err) => {
      if (fail) fail(err)
      if (complete) complete(err)
    })
    return true
  }

  // plain are the fields of an error without its text.
  function plain(err) {
    const fields = Object.assign({}, err)
    delete fields.errMsg
    return fields
  }

  // quiet keeps frameworks that return promises beside the callbacks (Taro) from
  // complaining about a rejection that the callback has dealt with.
  function quiet(task) {
    if (task && typeof task.then === 'function') task.then(() => {}, () => {})
  }

  function root() {
    return { wx: typeof wx === 'undefined' ? undefined : wx }
  }

  return { createClient, getHeader }
})())
