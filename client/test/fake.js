'use strict'
// A fake platform and a fake gateway. The platform behaves as WeChat's does:
// success for every status, at most 10 requests at once, no PATCH, callbacks
// never before the call has returned.

const { setImmediate: soon } = require('node:timers')

const METHODS = ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT']

// settle lets everything happen that needs no clock.
async function settle() {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => soon(resolve))
}

class Gateway {
  constructor() {
    this.expiresIn = 7200
    this.seen = [] // every request, as "METHOD path"
    this.requests = []
    this.live = new Map() // token → session number
    this.codes = new Map() // code → { nonce, answer }
    this.sessions = 0
    this.tokens = 0
    this.answers = {} // path → list of answers or functions, used up in order
    this.held = {} // path → list of functions that let a request go on
    this.hold = new Set() // paths whose requests wait in held
  }

  count(path) {
    return this.requests.filter((r) => r.path === path).length
  }

  end(token) {
    // the session of the token, with all its tokens
    const session = this.live.get(token)
    for (const [other, s] of this.live) if (s === session) this.live.delete(other)
  }

  grant(session) {
    const token = 'token-' + ++this.tokens
    this.live.set(token, session)
    return json(200, { token, token_type: 'Bearer', expires_in: this.expiresIn })
  }

  async answer(request) {
    this.seen.push(request.method + ' ' + request.path)
    this.requests.push(request)
    const planned = this.answers[request.path]
    let res
    if (planned && planned.length) {
      const answer = planned.shift()
      res = typeof answer === 'function' ? answer(request) : answer
    } else res = this.route(request)
    if (this.hold.has(request.path)) await new Promise((resolve) => (this.held[request.path] ||= []).push(resolve))
    return res
  }

  release(path) {
    for (const go of (this.held[path] || []).splice(0)) go()
  }

  route(request) {
    const { path, data, token } = request
    if (path === '/wechat/login') {
      const known = this.codes.get(data.code)
      if (!known) return refusal(401, 'code_rejected')
      if (known.answer) return known.nonce === data.nonce ? known.answer : refusal(401, 'code_used')
      known.nonce = data.nonce
      return (known.answer = this.grant(++this.sessions))
    }
    if (path === '/wechat/logout') {
      this.end(token)
      return { statusCode: 204, data: '', header: {} }
    }
    if (path.startsWith('/public')) return json(200, { token })
    if (!token) return refusal(401, 'login_required')
    if (!this.live.has(token)) return refusal(401, 'session_ended')
    if (path === '/wechat/renew') return this.grant(this.live.get(token))
    if (path === '/wechat/session')
      return json(200, { appid: 'wx1234567890abcdef', expires_in: 7200, session_expires_in: 86400 })
    return json(200, { path, token })
  }
}

function json(statusCode, data, header) {
  // Names arrive in whatever case the platform likes.
  const bearer = statusCode === 401 ? { 'www-authenticate': 'Bearer' } : {}
  return { statusCode, data, header: Object.assign({ 'content-type': 'application/json' }, bearer, header) }
}

// refusal is an answer of the gateway itself, which no app can give.
function refusal(statusCode, error, header) {
  return json(statusCode, { error }, Object.assign({ 'X-Wechat-Gateway': error }, header))
}

function fakeWx(gateway) {
  const storage = new Map()
  const wx = {
    storage,
    logins: 0,
    running: 0,
    most: 0,
    scene: 1001,
    getEnterOptionsSync: () => ({ scene: wx.scene }),
    getStorageSync: (key) => (storage.has(key) ? JSON.parse(storage.get(key)) : ''),
    setStorageSync: (key, value) => {
      storage.set(key, JSON.stringify(value))
    },
    removeStorageSync: (key) => {
      storage.delete(key)
    },
    checkSession: () => {
      throw new Error('checkSession is not to be relied on')
    },
    login({ success, fail }) {
      wx.logins++
      soon(() => {
        if (wx.scene === 1154) return fail({ errMsg: 'login:fail can not login in single page mode' })
        if (wx.loginFails) return fail({ errMsg: 'login:fail' })
        const code = 'code-' + wx.logins
        gateway.codes.set(code, {})
        success({ code, errMsg: 'login:ok' })
      })
    },
    request: (options) => transfer('request', options),
    uploadFile: (options) => transfer('uploadFile', Object.assign({ method: 'POST' }, options)),
    downloadFile: (options) => transfer('downloadFile', options),
    sockets: [],
    connectSocket(options) {
      wx.sockets.push(options)
      soon(() => options.success && options.success({ errMsg: 'connectSocket:ok' }))
      return { url: options.url, close() {} }
    }
  }

  function transfer(kind, options) {
    const method = (options.method || 'GET').toUpperCase()
    const header = options.header || {}
    const name = Object.keys(header).find((key) => key.toLowerCase() === 'authorization')
    const token = name && header[name].replace('Bearer ', '')
    const path = new URL(options.url).pathname
    const task = {
      abort() {
        finish(null, { errMsg: kind + ':fail abort' })
      },
      listeners: [],
      onHeadersReceived(f) {
        task.listeners.push(f)
      },
      offHeadersReceived() {
        task.listeners = []
      }
    }
    let finished = false
    wx.running++
    wx.most = Math.max(wx.most, wx.running)
    const finish = (res, err) => {
      if (finished) return
      finished = true
      wx.running--
      if (err) {
        if (options.fail) options.fail(err)
      } else {
        task.listeners.forEach((listener) => listener({ header: res.header }))
        if (options.success) options.success(Object.assign({ errMsg: kind + ':ok' }, res))
      }
      if (options.complete) options.complete(res || err)
    }
    soon(async () => {
      if (wx.running > 10) return finish(null, { errMsg: kind + ':fail exceeds the concurrency limit' })
      if (!METHODS.includes(method)) return finish(null, { errMsg: kind + ':fail method is invalid' })
      const res = await gateway.answer({
        kind,
        method,
        path,
        url: options.url,
        data: options.data,
        header,
        token,
        timeout: options.timeout
      })
      if (res.lost) return finish(null, { errMsg: kind + ':fail ' + res.lost })
      if (kind === 'uploadFile') return finish(Object.assign({}, res, { data: JSON.stringify(res.data) }))
      if (kind === 'downloadFile')
        return finish({ statusCode: res.statusCode, header: res.header, tempFilePath: 'tmp://1' })
      finish(res)
    })
    return task
  }
  return wx
}

module.exports = { Gateway, fakeWx, json, refusal, settle }
