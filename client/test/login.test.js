'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { createClient, getHeader } = require('..')
const { Gateway, fakeWx, json, refusal, settle } = require('./fake')

function setUp(t, options) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 })
  const gateway = new Gateway()
  const wx = fakeWx(gateway)
  const client = createClient(Object.assign({ baseURL: 'https://example.com', wx }, options))
  const tick = async (ms) => {
    t.mock.timers.tick(ms)
    await settle()
  }
  const path = '/wechat/login'
  const sent = () => gateway.requests.filter((r) => r.path === path).map((r) => r.data)
  return { gateway, wx, client, tick, path, sent }
}

function track(promise) {
  const end = {}
  promise.then(
    (res) => {
      end.res = res
    },
    (err) => {
      end.err = err
    }
  )
  return end
}

// The gateway logged the user in, spent the code, and the answer never arrived.
// The same code with the same nonce gets it again; without, the code is lost.
test('a login whose answer was lost is sent again with its code and nonce', async (t) => {
  const { gateway, wx, client, tick, path, sent } = setUp(t)
  const lose = (request) => {
    gateway.route(request)
    return { lost: 'interrupted' }
  }
  gateway.answers[path] = [lose, lose]
  const end = track(client.request({ url: '/a' }))
  await settle()
  await tick(500)
  await tick(2000)
  assert.equal(end.res.data.token, 'token-1')
  assert.equal(wx.logins, 1)
  assert.equal(gateway.sessions, 1)
  assert.deepEqual(sent(), [sent()[0], sent()[0], sent()[0]])
  assert.ok(
    gateway.requests[0].timeout <= 15000,
    'three attempts do not fit into the minute that the nonce is good for'
  )
})

test('the nonce of every login is another', async (t) => {
  const { client, sent } = setUp(t)
  for (let i = 0; i < 20; i++) await client.login()
  assert.equal(new Set(sent().map((data) => data.nonce)).size, 20)
  assert.ok(sent().every((data) => /^[A-Za-z0-9_-]{32}$/.test(data.nonce)))
})

test('a login that stays lost reaches the caller', async (t) => {
  const { gateway, wx, client, tick, path } = setUp(t)
  gateway.answers[path] = Array.from({ length: 50 }, () => ({ lost: 'timeout' }))
  const end = track(client.request({ url: '/a' }))
  await settle()
  await tick(500)
  await tick(2000)
  assert.equal(end.err.errMsg, 'request:fail timeout')
  for (let i = 0; i < 10; i++) await tick(60000)
  assert.equal(gateway.count(path), 3)
  assert.equal(wx.logins, 1)
  gateway.answers[path] = []
  assert.equal((await client.request({ url: '/a' })).statusCode, 200)
})

for (const error of ['code_used', 'code_rejected']) {
  test(`${error} takes one fresh code`, async (t) => {
    const { gateway, wx, client, path, sent } = setUp(t)
    gateway.answers[path] = [json(401, { error })]
    assert.equal((await client.request({ url: '/a' })).statusCode, 200)
    assert.equal(wx.logins, 2)
    assert.notEqual(sent()[0].code, sent()[1].code)
    assert.notEqual(sent()[0].nonce, sent()[1].nonce)
  })

  test(`${error} for ever reaches the caller`, async (t) => {
    const { gateway, wx, client, path } = setUp(t)
    gateway.answers[path] = Array.from({ length: 50 }, () => json(401, { error }))
    await assert.rejects(client.request({ url: '/a' }), { error, statusCode: 401, errMsg: 'login:fail ' + error })
    assert.equal(wx.logins, 2)
  })
}

test('other refusals reach every waiting caller at once', async (t) => {
  for (const [status, error] of [
    [400, 'invalid_request'],
    [403, 'user_blocked'],
    [502, 'gateway_misconfigured'],
    [504, 'wechat_timeout'],
    [500, undefined]
  ]) {
    await t.test(String(error), async (t) => {
      const { gateway, wx, client, path } = setUp(t)
      gateway.answers[path] = [json(status, error ? { error } : '<html>')]
      const ends = Array.from({ length: 5 }, () => track(client.request({ url: '/a' })))
      await settle()
      assert.ok(ends.every((end) => end.err.statusCode === status && end.err.error === error))
      assert.equal(wx.logins, 1)
      assert.equal(gateway.count('/a'), 0)
    })
  }
})

test('a 200 without a token is no login', async (t) => {
  for (const data of ['<html>', null, {}, { token: '' }, { token: 5 }]) {
    await t.test(JSON.stringify(data), async (t) => {
      const { gateway, client, path } = setUp(t)
      gateway.answers[path] = [json(200, data)]
      await assert.rejects(client.request({ url: '/a' }), { errMsg: 'login:fail HTTP 200' })
    })
  }
})

test('a wx.login that fails reaches the caller', async (t) => {
  const { wx, client } = setUp(t)
  wx.loginFails = true
  await assert.rejects(client.request({ url: '/a' }), { errMsg: 'login:fail' })
  wx.loginFails = false
  assert.equal((await client.request({ url: '/a' })).statusCode, 200)
})

test('a refused login waits for Retry-After once', async (t) => {
  for (const status of [429, 503]) {
    await t.test(String(status), async (t) => {
      const { gateway, wx, client, tick, path } = setUp(t)
      const answer = () => json(status, { error: 'rate_limited' }, { 'RETRY-AFTER': '3' })
      gateway.answers[path] = [answer(), answer(), answer()]
      const end = track(client.request({ url: '/a' }))
      await settle()
      await tick(2999)
      assert.equal(gateway.count(path), 1)
      await tick(1)
      assert.equal(gateway.count(path), 2)
      assert.equal(end.err.retryAfter, 3)
      assert.equal(wx.logins, 2)
    })
  }
})

// While the gateway wants no logins, fifty requests of a page would be fifty
// more reasons for it to want none.
test('nobody logs in before a long Retry-After is over', async (t) => {
  const { gateway, wx, client, tick, path } = setUp(t)
  gateway.answers[path] = [json(503, { error: 'wechat_unavailable' }, { 'Retry-After': '120' })]
  await assert.rejects(client.request({ url: '/a' }), { error: 'wechat_unavailable', retryAfter: 120 })
  await tick(119000)
  await assert.rejects(client.request({ url: '/a' }), { error: 'wechat_unavailable' })
  await assert.rejects(client.login(), { error: 'wechat_unavailable' })
  assert.equal(wx.logins, 1)
  await tick(1000)
  assert.equal((await client.request({ url: '/a' })).statusCode, 200)
})

test('an absurd Retry-After is not believed for ever', async (t) => {
  const { gateway, client, tick, path } = setUp(t)
  gateway.answers[path] = [json(503, {}, { 'Retry-After': '99999999' })]
  await assert.rejects(client.request({ url: '/a' }))
  await tick(3600 * 1000)
  assert.equal((await client.request({ url: '/a' })).statusCode, 200)
})

test('a refused request waits for Retry-After once', async (t) => {
  const later = (error, after) =>
    error === 'busy' ? json(503, { error }, { 'retry-after': after }) : refusal(503, error, { 'retry-after': after })
  for (const [name, options, error, after, times] of [
    ['GET', {}, 'busy', '2', 2],
    ['a date', {}, 'busy', new Date(1e12 + 2000).toUTCString(), 2],
    ['POST refused by the gateway', { method: 'POST' }, 'store_unavailable', '2', 2],
    ['POST refused by the app', { method: 'POST' }, 'busy', '2', 1],
    ['too long', {}, 'busy', '11', 1],
    ['nonsense', {}, 'busy', 'soon', 1]
  ]) {
    await t.test(name, async (t) => {
      const { gateway, client, tick } = setUp(t)
      gateway.answers['/a'] = [later(error, after), later(error, after), later(error, after)]
      const end = track(client.request(Object.assign({ url: '/a' }, options)))
      await settle()
      await tick(1999)
      assert.equal(gateway.count('/a'), 1)
      await tick(1)
      assert.equal(gateway.count('/a'), times)
      assert.equal(end.res.statusCode, 503)
      await tick(60000)
      assert.equal(gateway.count('/a'), times)
    })
  }
})

test('maxRetryAfter 0 waits for nothing', async (t) => {
  const { gateway, client, path } = setUp(t, { maxRetryAfter: 0 })
  gateway.answers[path] = [json(429, { error: 'rate_limited' }, { 'Retry-After': '1' })]
  await assert.rejects(client.request({ url: '/a' }), { retryAfter: 1 })
})

test('logout ends the session, and guests it is until login', async (t) => {
  const { gateway, wx, client } = setUp(t)
  await client.request({ url: '/a' })
  await client.logout()
  assert.equal(gateway.requests.at(-1).token, 'token-1')
  assert.equal(gateway.live.size, 0)
  assert.equal((await client.request({ url: '/b' })).data.error, 'login_required')
  assert.equal((await client.request({ url: '/public' })).data.token, undefined)
  const restarted = createClient({ baseURL: 'https://example.com', wx })
  assert.equal((await restarted.request({ url: '/b' })).statusCode, 401)
  assert.equal(wx.logins, 1)
  assert.deepEqual(await client.login(), { token: 'token-2', expires_in: 7200 })
  assert.equal((await client.request({ url: '/b' })).data.token, 'token-2')
  assert.equal(
    (await createClient({ baseURL: 'https://example.com', wx }).request({ url: '/b' })).data.token,
    'token-2'
  )
})

// A poll under way at logout comes back with a 401. Were it to log in, nobody
// could ever log out.
test('a request from before a logout does not log in after it', async (t) => {
  const { gateway, wx, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.answers['/slow'] = [refusal(401, 'session_ended')]
  gateway.hold.add('/slow')
  const slow = track(client.request({ url: '/slow' }))
  await settle()
  await client.logout()
  gateway.hold.clear()
  gateway.release('/slow')
  await settle()
  assert.equal(slow.res.statusCode, 401)
  assert.equal(wx.logins, 1)
})

test('a login under way at a logout is ended, too', async (t) => {
  const { gateway, client, path } = setUp(t)
  gateway.hold.add(path)
  const request = track(client.request({ url: '/a' }))
  await settle()
  const out = track(client.logout())
  await settle()
  gateway.hold.clear()
  gateway.release(path)
  await settle()
  assert.equal(request.err.errMsg, 'login:fail logged out')
  assert.ok('res' in out)
  assert.equal(gateway.live.size, 0)
  assert.equal((await client.request({ url: '/a' })).statusCode, 401)
})

test('a login after a logout does not wait for the one before', async (t) => {
  const { gateway, client, path } = setUp(t)
  gateway.hold.add(path)
  track(client.request({ url: '/a' }))
  await settle()
  const out = track(client.logout())
  gateway.hold.clear()
  const again = await client.login()
  assert.equal(again.token, 'token-2')
  gateway.release(path)
  await settle()
  assert.ok('res' in out)
  assert.equal((await client.request({ url: '/a' })).data.token, 'token-2')
})

test('a logout that gets lost is repeated and then reported', async (t) => {
  const { gateway, client, tick } = setUp(t)
  await client.request({ url: '/a' })
  gateway.answers['/wechat/logout'] = [{ lost: 'timeout' }, { lost: 'timeout' }]
  const end = track(client.logout())
  await settle()
  await tick(500)
  assert.equal(end.err.errMsg, 'request:fail timeout')
  assert.equal((await client.request({ url: '/b' })).statusCode, 401)
})

test('session tells what is left', async (t) => {
  const { gateway, client } = setUp(t)
  assert.deepEqual(await client.session(), { appid: 'wx1234567890abcdef', expires_in: 7200, session_expires_in: 86400 })
  await client.logout()
  await assert.rejects(client.session(), { error: 'login_required', statusCode: 401 })
  assert.equal(gateway.count('/wechat/login'), 1)
})

test('uploads and downloads log in and retry like requests', async (t) => {
  const { gateway, client } = setUp(t)
  const up = { url: '/up', filePath: 'tmp://1', name: 'file' }
  assert.equal((await client.uploadFile(up)).statusCode, 200)
  gateway.end('token-1')
  const uploaded = await client.uploadFile(up)
  assert.equal(JSON.parse(uploaded.data).token, 'token-2')
  gateway.end('token-2')
  const downloaded = await client.downloadFile({ url: '/down' })
  assert.equal(downloaded.tempFilePath, 'tmp://1')
  assert.equal(gateway.requests.at(-1).token, 'token-3')
  assert.equal(gateway.count('/wechat/login'), 3)
})

test("a refused download of the app is not taken for the gateway's", async (t) => {
  const { gateway, client } = setUp(t)
  gateway.answers['/down'] = [{ statusCode: 401, header: { 'WWW-Authenticate': 'Basic realm="x"' } }]
  assert.equal((await client.downloadFile({ url: '/down' })).statusCode, 401)
  assert.equal(gateway.count('/wechat/login'), 1)
})

test('bytes are understood as well', async (t) => {
  const { gateway, client } = setUp(t)
  await client.request({ url: '/a' })
  const bytes = new TextEncoder().encode('{"error":"session_expired"}').buffer
  gateway.answers['/a'] = [json(401, bytes, { 'x-wechat-gateway': 'session_expired' })]
  assert.equal((await client.request({ url: '/a', responseType: 'arraybuffer' })).statusCode, 200)
})

test('a socket is opened with a token that works', async (t) => {
  const { gateway, wx, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.end('token-1')
  const task = await client.connectSocket({ url: '/ws', protocols: ['chat'] })
  assert.equal(task.url, 'wss://example.com/ws')
  assert.deepEqual(wx.sockets[0].header, { Authorization: 'Bearer token-2' })
  assert.deepEqual(wx.sockets[0].protocols, ['chat'])
  await client.connectSocket({ url: 'wss://example.com/ws', guest: true })
  assert.deepEqual(wx.sockets[1].header, {})
  gateway.answers['/wechat/session'] = [json(500, {})]
  let failed
  await assert.rejects(
    client.connectSocket({
      url: '/ws',
      fail: (err) => {
        failed = err
      }
    }),
    { statusCode: 500 }
  )
  assert.equal(failed.statusCode, 500)
  assert.equal(wx.sockets.length, 2)
})

test('headers are found in any spelling', () => {
  assert.equal(getHeader({ header: { 'RETRY-after': 5 } }, 'Retry-After'), '5')
  assert.equal(getHeader({}, 'Retry-After'), undefined)
})

test('the package can be required, imported and read as a script', async () => {
  const { readFileSync } = require('node:fs')
  const vm = require('node:vm')
  const imported = await import('caddy-wechat-client')
  assert.equal(imported.createClient, require('caddy-wechat-client').createClient)
  assert.equal(imported.default.getHeader, getHeader)
  const page = vm.createContext({})
  vm.runInContext(readFileSync(require.resolve('..'), 'utf8'), page)
  assert.equal(vm.runInContext('typeof caddyWechat.createClient', page), 'function')
})
