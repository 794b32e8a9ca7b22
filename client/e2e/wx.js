'use strict'
// A Mini Program's platform on Node: wx.login from the simulator, real requests.

const { randomBytes } = require('node:crypto')
const http = require('node:http')

function makeWx(env, user) {
  const storage = new Map()
  const wx = {
    logins: 0,
    storage,
    loseNext: null, // path whose next answer gets lost
    getEnterOptionsSync: () => ({ scene: 1001 }),
    getStorageSync: (key) => (storage.has(key) ? JSON.parse(storage.get(key)) : ''),
    setStorageSync: (key, value) => {
      storage.set(key, JSON.stringify(value))
    },
    removeStorageSync: (key) => {
      storage.delete(key)
    },
    login({ success, fail }) {
      wx.logins++
      env.control('code', { appid: env.appID, user }).then(
        ({ code }) => success({ code, errMsg: 'login:ok' }),
        (err) => fail({ errMsg: 'login:fail ' + err.message })
      )
    },
    request(options) {
      const json = options.data !== undefined
      return transfer(
        'request',
        options,
        json ? JSON.stringify(options.data) : undefined,
        json ? { 'content-type': 'application/json' } : {},
        (text) => {
          try {
            return JSON.parse(text)
          } catch {
            return text
          }
        }
      )
    },
    uploadFile(options) {
      const boundary = randomBytes(8).toString('hex')
      const body = `--${boundary}\r\nContent-Disposition: form-data; name="${options.name}"; filename="f"\r\n\r\n${options.filePath}\r\n--${boundary}--\r\n`
      return transfer(
        'uploadFile',
        Object.assign({ method: 'POST' }, options),
        body,
        { 'content-type': 'multipart/form-data; boundary=' + boundary },
        (text) => text
      )
    },
    downloadFile: (options) => transfer('downloadFile', options, undefined, {}, () => undefined),
    connectSocket(options) {
      const req = http.get(options.url.replace(/^ws/, 'http'), {
        headers: Object.assign(
          {
            Connection: 'Upgrade',
            Upgrade: 'websocket',
            'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Key': randomBytes(16).toString('base64')
          },
          options.header
        )
      })
      const listeners = { open: [], error: [] }
      req.on('upgrade', (res, socket) => {
        socket.destroy()
        listeners.open.forEach((f) => f({}))
      })
      req.on('response', (res) => {
        res.resume()
        listeners.error.forEach((f) => f({ errMsg: 'handshake ' + res.statusCode }))
      })
      req.on('error', (err) => listeners.error.forEach((f) => f({ errMsg: err.message })))
      if (options.success) options.success({ errMsg: 'connectSocket:ok' })
      return { onOpen: (f) => listeners.open.push(f), onError: (f) => listeners.error.push(f) }
    }
  }

  function transfer(kind, options, body, header, read) {
    const url = new URL(options.url)
    const fail = (err) => options.fail && options.fail({ errMsg: kind + ':fail ' + err.message })
    const headers = Object.assign(header, options.header)
    if (body !== undefined) headers['content-length'] = Buffer.byteLength(body)
    const req = http.request(url, { method: options.method || 'GET', headers, timeout: options.timeout }, (res) => {
      const chunks = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('error', fail)
      res.on('end', () => {
        if (wx.loseNext === url.pathname) {
          wx.loseNext = null
          return fail(new Error('interrupted'))
        }
        const result = {
          statusCode: res.statusCode,
          header: res.headers,
          cookies: res.headers['set-cookie'] || [],
          data: read(Buffer.concat(chunks).toString()),
          errMsg: kind + ':ok'
        }
        if (kind === 'downloadFile') result.tempFilePath = 'tmp://' + Buffer.concat(chunks).length
        if (options.success) options.success(result)
      })
    })
    req.on('error', fail)
    req.end(body)
    return { abort: () => req.destroy(new Error('abort')) }
  }
  return wx
}

module.exports = { makeWx }
