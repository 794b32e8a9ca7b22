'use strict'
// Whatever the platform calls or does not call, every promise settles, and its
// place is free again.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { settle } = require('./fake')
const { setUp, track } = require('./setup')

const MINUTE = 60000
const over = (end) => 'res' in end || 'err' in end

// What interceptors of Taro and uni-app make of a request before the platform
// is reached, and a platform that says nothing at all.
const SILENT = {
  'returns undefined': () => undefined,
  'returns a task': () => ({ abort() {} }),
  'returns a promise that never settles': () => new Promise(() => {}),
  'returns what only looks like a promise': () => ({ then() {}, catch() {} })
}

for (const [name, silent] of Object.entries(SILENT)) {
  test(`a request on a platform that ${name} ends, and gives its place back`, async (t) => {
    const { wx, client, tick } = setUp(t)
    await client.request({ url: '/a' })
    const real = wx.request
    wx.request = silent
    const hung = Array.from({ length: 9 }, () => track(client.request({ url: '/a' })))
    await settle()
    wx.request = real
    const later = track(client.request({ url: '/later' }))
    await tick(MINUTE - 1)
    assert.ok(!hung.some(over))
    await tick(1)
    assert.deepEqual(
      hung.slice(0, 8).map((end) => end.err),
      Array(8).fill({ errMsg: 'request:fail timeout' })
    )
    assert.equal(hung[8].res.statusCode, 200, 'the ninth was waiting for a place')
    assert.equal(later.res.statusCode, 200)
  })

  test(`a wx.login that ${name} ends, and the next begins afresh`, async (t) => {
    const { wx, client, tick } = setUp(t)
    const real = wx.login
    let asked = 0
    wx.login = () => {
      asked++
      return silent()
    }
    const ends = [client.request({ url: '/a' }), client.login(), client.request({ url: '/b' })].map(track)
    await settle()
    await tick(10000)
    for (const end of ends) assert.equal(end.err.errMsg, 'login:fail timeout')
    assert.equal(asked, 1)
    wx.login = real
    assert.equal((await client.request({ url: '/a' })).statusCode, 200)
  })
}

test('a rejected promise or an exception fails at once', async (t) => {
  const { wx, client } = setUp(t)
  await client.request({ url: '/a' })
  const reason = { errMsg: 'request:fail offline' }
  for (const [broken, errMsg] of [
    [() => Promise.reject(reason), 'request:fail offline'],
    [() => Promise.reject(new Error('no network')), 'request:fail no network'],
    [() => Promise.reject('no'), 'request:fail no'],
    [() => Promise.reject(), 'request:fail not sent'],
    [
      () => {
        throw new Error('bad option')
      },
      'request:fail bad option'
    ]
  ]) {
    const real = wx.request
    wx.request = broken
    const ends = Array.from({ length: 20 }, () => track(client.request({ url: '/a' })))
    await settle()
    assert.ok(
      ends.every((end) => end.err.errMsg === errMsg),
      errMsg
    )
    wx.request = real
    assert.equal((await client.request({ url: '/a' })).statusCode, 200)
  }
})

test('an asynchronous interceptor of uni-app gives the task late', async (t) => {
  const { gateway, wx, client } = setUp(t)
  await client.request({ url: '/a' })
  const real = wx.request
  wx.request = (options) => Promise.resolve().then(() => real(options))
  assert.equal((await client.request({ url: '/b' })).data.path, '/b')
  gateway.hold.add('/slow')
  const call = client.request({ url: '/slow' })
  const end = track(call)
  await settle()
  assert.equal(wx.running, 1)
  call.abort()
  await settle()
  assert.deepEqual(end.err, { errMsg: 'request:fail abort' })
  assert.equal(wx.running, 0, 'the platform still sends it')
})

test('an interceptor that answers by itself is believed', async (t) => {
  const { wx, client } = setUp(t)
  await client.request({ url: '/a' })
  wx.request = () => Promise.resolve({ statusCode: 200, data: 'cached', header: {} })
  assert.equal((await client.request({ url: '/a' })).data, 'cached')
})

test('a gateway that never answers a login, a renewal or a logout', async (t) => {
  const { gateway, wx, client, tick } = setUp(t)
  gateway.hold.add('/wechat/login')
  const ends = [client.request({ url: '/a' }), client.login()].map(track)
  await settle()
  for (let s = 0; s < 60 && !ends.every(over); s++) await tick(1000)
  assert.ok(ends.every((end) => /timeout/.test(end.err.errMsg)))
  assert.equal(wx.logins, 1)
  gateway.hold.clear()
  assert.equal((await client.request({ url: '/a' })).statusCode, 200)

  gateway.hold.add('/wechat/renew')
  await tick(3600 * 1000)
  assert.equal((await client.request({ url: '/a' })).statusCode, 200)
  await tick(10000)
  gateway.hold.clear()
  await tick(MINUTE)
  const renewals = gateway.count('/wechat/renew')
  await client.request({ url: '/a' })
  await settle()
  assert.equal(gateway.count('/wechat/renew'), renewals + 1)

  gateway.hold.add('/wechat/logout')
  const out = track(client.logout())
  await settle()
  for (let s = 0; s < 30 && !over(out); s++) await tick(1000)
  assert.equal(out.err.errMsg, 'request:fail timeout')
})

test('a logout does not wait for ever for a login under way', async (t) => {
  const { wx, client, tick } = setUp(t)
  wx.login = () => {}
  const request = track(client.request({ url: '/a' }))
  const out = track(client.logout())
  await tick(10000)
  assert.ok('res' in out)
  assert.ok(request.err)
})

test('uploads, downloads, sockets and session() end as well', async (t) => {
  const { gateway, wx, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  wx.uploadFile = wx.downloadFile = wx.connectSocket = () => new Promise(() => {})
  const ends = [
    client.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' }),
    client.downloadFile({ url: '/down' }),
    client.connectSocket({ url: '/ws' })
  ].map(track)
  gateway.hold.add('/wechat/session')
  await settle()
  await tick(MINUTE)
  await tick(MINUTE)
  assert.deepEqual(
    ends.map((end) => end.err.errMsg),
    ['uploadFile:fail timeout', 'downloadFile:fail timeout', 'request:fail timeout']
  )
  gateway.hold.clear()
  const socket = track(client.connectSocket({ url: '/ws' }))
  await settle()
  await tick(MINUTE)
  assert.equal(socket.err.errMsg, 'connectSocket:fail timeout')
})

test('a timeout bounds the whole call, with its login, its turn and its repeats', async (t) => {
  const { gateway, wx, client, tick } = setUp(t)
  const login = wx.login
  wx.login = () => {}
  const early = track(client.request({ url: '/a', timeout: 3000 }))
  const socket = track(client.connectSocket({ url: '/ws', timeout: 3000 }))
  await tick(2999)
  assert.ok(!over(early))
  await tick(1)
  assert.deepEqual(early.err, { errMsg: 'request:fail timeout' })
  assert.deepEqual(socket.err, { errMsg: 'connectSocket:fail timeout' })
  await tick(MINUTE)
  wx.login = login
  await client.request({ url: '/a' })

  gateway.hold.add('/slow')
  const slow = Array.from({ length: 8 }, () => client.request({ url: '/slow' }))
  slow.forEach(track)
  const queued = track(client.request({ url: '/b', timeout: 5000 }))
  await tick(5000)
  assert.deepEqual(queued.err, { errMsg: 'request:fail timeout' })
  gateway.hold.clear()
  gateway.release('/slow')
  await settle()
  assert.equal(gateway.count('/b'), 0, 'it was sent after it had ended')

  gateway.end('token-1')
  gateway.hold.add('/wechat/login')
  const again = track(client.request({ url: '/c', method: 'POST', timeout: 4000 }))
  await tick(4000)
  assert.deepEqual(again.err, { errMsg: 'request:fail timeout' })
  gateway.hold.clear()
  gateway.release('/wechat/login')
  await settle()
  assert.equal(gateway.count('/c'), 1)
})

test('a Retry-After that does not fit into the timeout is not waited for', async (t) => {
  const { gateway, client } = setUp(t)
  gateway.answers['/a'] = [{ statusCode: 503, data: 'busy', header: { 'Retry-After': '5' } }]
  assert.equal((await client.request({ url: '/a', timeout: 4000 })).statusCode, 503)
})

test('timeout of createClient is for calls without one', async (t) => {
  const { gateway, another, tick } = setUp(t)
  const client = another({ timeout: 300000 })
  gateway.hold.add('/slow')
  const end = track(client.request({ url: '/slow' }))
  await settle()
  await tick(299999)
  assert.ok(!over(end))
  await tick(1)
  assert.deepEqual(end.err, { errMsg: 'request:fail timeout' })
})

// Promises of frameworks have no abort: the caller's end does not wait for them.
test('abort ends a call now, wherever it is', async (t) => {
  const { gateway, wx, client, tick } = setUp(t)
  const aborted = { errMsg: 'request:fail abort' }
  const abort = async (call, end) => {
    call.abort()
    await settle()
    assert.deepEqual(end.err, aborted)
  }
  const begin = async (options) => {
    const call = client.request(options)
    const end = track(call)
    await settle()
    return [call, end]
  }
  gateway.hold.add('/wechat/login')
  await abort(...(await begin({ url: '/login' })))
  gateway.hold.clear()
  gateway.release('/wechat/login')
  await settle()
  assert.equal(gateway.count('/login'), 0)

  const real = wx.request
  gateway.hold.add('/flight')
  wx.request = (options) =>
    new Promise((resolve, reject) =>
      real(
        Object.assign({}, options, {
          success: (res) => {
            options.success(res)
            resolve(res)
          },
          fail: (err) => {
            options.fail(err)
            reject(err)
          }
        })
      )
    )
  const flights = []
  for (let i = 0; i < 8; i++) flights.push(await begin({ url: '/flight' }))
  const queued = await begin({ url: '/queued' })
  await abort(...queued)
  for (const flight of flights) await abort(...flight)
  assert.equal((await client.request({ url: '/free' })).statusCode, 200, 'their places are not free')
  gateway.hold.clear()
  gateway.release('/flight')
  await settle()
  assert.deepEqual(flights[0][1], { err: aborted }, 'a late answer came through')
  assert.equal(gateway.count('/queued'), 0)

  gateway.answers['/pause'] = [{ statusCode: 503, data: '', header: { 'Retry-After': '5' } }]
  const paused = await begin({ url: '/pause' })
  await abort(...paused)
  await tick(MINUTE)
  assert.equal(gateway.count('/pause'), 1)

  gateway.end('token-1')
  gateway.hold.add('/wechat/login')
  const again = await begin({ url: '/again' })
  await abort(...again)
  gateway.hold.clear()
  gateway.release('/wechat/login')
  await settle()
  assert.equal(gateway.count('/again'), 1)
})
