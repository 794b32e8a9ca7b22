'use strict'
// oneTrip: the first request carries the code of wx.login instead of a token.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { json, refusal, settle } = require('./fake')
const { setUp, track } = require('./setup')

const FORM = /^WeChat-Code code="([^"]+)", nonce="([A-Za-z0-9_-]{32})"$/

// carry answers a request with a code as the gateway does.
function carry(gateway, status = 200) {
  return (request) => {
    const [, code, nonce] = FORM.exec(request.header.Authorization)
    const login = gateway.route({ path: '/wechat/login', data: { code, nonce } })
    if (login.statusCode !== 200) return login
    return json(
      status,
      { path: request.path },
      { Authorization: 'Bearer ' + login.data.token, 'X-WeChat-Expires-In': '7200' }
    )
  }
}

test('a first request logs in and is answered in one trip', async (t) => {
  const { gateway, wx, client } = setUp(t, { oneTrip: true })
  gateway.answers['/a'] = [carry(gateway)]
  assert.equal((await client.request({ url: '/a', method: 'POST', data: { n: 1 } })).data.path, '/a')
  assert.deepEqual(gateway.seen, ['POST /a'])
  assert.equal((await client.request({ url: '/b' })).data.token, 'token-1')
  assert.equal(wx.logins, 1)
  assert.ok(JSON.parse([...wx.storage.values()][0]).token === 'token-1')
})

test('the appid goes with the code', async (t) => {
  const { gateway, client } = setUp(t, { oneTrip: true, appid: 'wx1234567890abcdef' })
  gateway.answers['/a'] = [json(200, {})]
  await client.request({ url: '/a' })
  assert.match(gateway.requests[0].header.Authorization, /", appid="wx1234567890abcdef"$/)
})

test('it is off by default, and not for guests, uploads, big bodies and after a logout', async (t) => {
  const { gateway, client, another } = setUp(t)
  await client.request({ url: '/a' })
  assert.equal(gateway.seen[0], 'POST /wechat/login')
  await client.logout()
  const trip = another({ oneTrip: true })
  await trip.request({ url: '/public' })
  assert.equal(gateway.requests.at(-1).header.Authorization, undefined)
  for (const call of [
    (c) => c.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' }),
    (c) => c.request({ url: '/big', method: 'POST', data: 'x'.repeat(65537) }),
    (c) => c.request({ url: '/big', method: 'POST', data: new ArrayBuffer(65537) })
  ]) {
    const before = gateway.count('/wechat/login')
    await call(another({ oneTrip: true, appid: 'wx' + before }))
    assert.equal(gateway.count('/wechat/login'), before + 1)
  }
})

test('calls beside it get the same token by the same code', async (t) => {
  const { gateway, wx, client } = setUp(t, { oneTrip: true })
  gateway.answers['/a'] = [carry(gateway)]
  gateway.hold.add('/a')
  const first = track(client.request({ url: '/a' }))
  const others = Array.from({ length: 9 }, () => track(client.request({ url: '/b' })))
  await settle()
  assert.ok(
    others.every((end) => end.res.data.token === 'token-1'),
    'they wait for a slow answer'
  )
  gateway.hold.clear()
  gateway.release('/a')
  await settle()
  assert.equal(first.res.statusCode, 200)
  assert.equal(wx.logins, 1)
  assert.equal(gateway.sessions, 1)
  assert.equal((await client.request({ url: '/c' })).data.token, 'token-1')
})

// The app may have had it, so it is not sent again. The login is not lost.
test('a lost answer costs no login', async (t) => {
  const { gateway, wx, client } = setUp(t, { oneTrip: true })
  gateway.answers['/a'] = [
    (request) => {
      carry(gateway)(request)
      return { lost: 'timeout' }
    }
  ]
  await assert.rejects(client.request({ url: '/a', method: 'POST' }), { errMsg: 'request:fail timeout' })
  assert.equal(gateway.count('/a'), 1)
  assert.equal((await client.request({ url: '/b' })).data.token, 'token-1')
  assert.equal(wx.logins, 1)
  assert.equal(gateway.sessions, 1)
})

test('a code that was not spent on a public path is used later', async (t) => {
  const { gateway, wx, client } = setUp(t, { oneTrip: true })
  gateway.answers['/public'] = [json(200, { guest: true })]
  assert.equal((await client.request({ url: '/public' })).data.guest, true)
  assert.equal((await client.request({ url: '/b' })).data.token, 'token-1')
  assert.equal(wx.logins, 1)
})

for (const code of ['code_used', 'code_rejected', 'invalid_request', 'login_required']) {
  test(`after ${code} a login of its own follows`, async (t) => {
    const { gateway, wx, client } = setUp(t, { oneTrip: true })
    gateway.answers['/a'] = [refusal(code === 'invalid_request' ? 400 : 401, code)]
    assert.equal((await client.request({ url: '/a', method: 'POST' })).data.token, 'token-1')
    assert.equal(gateway.count('/a'), 2)
    assert.equal(wx.logins, 2)
  })
}

test('a refusal is remembered, and a Retry-After waited for', async (t) => {
  const { gateway, wx, client, tick } = setUp(t, { oneTrip: true })
  gateway.answers['/a'] = [refusal(403, 'user_blocked')]
  await assert.rejects(client.request({ url: '/a' }), { error: 'user_blocked', errMsg: 'login:fail user_blocked' })
  await assert.rejects(client.request({ url: '/a' }), { error: 'user_blocked' })
  assert.equal(wx.logins, 1)
  await tick(10000)
  gateway.answers['/a'] = [refusal(503, 'wechat_unavailable', { 'Retry-After': '2' })]
  const end = track(client.request({ url: '/a', method: 'POST' }))
  await tick(2000)
  assert.equal(end.res.data.token, 'token-1')
  assert.equal(gateway.count('/a'), 3)
})

test("the app's own answer is not sent for again, and its session counts", async (t) => {
  const { gateway, client } = setUp(t, { oneTrip: true })
  gateway.answers['/a'] = [carry(gateway, 401)]
  assert.equal((await client.request({ url: '/a' })).statusCode, 401)
  assert.equal((await client.request({ url: '/b' })).data.token, 'token-1')
  assert.equal(gateway.count('/wechat/login'), 0)
})

test('a logout meanwhile ends what has come of it', async (t) => {
  const { gateway, client } = setUp(t, { oneTrip: true })
  gateway.answers['/a'] = [carry(gateway)]
  gateway.hold.add('/a')
  const end = track(client.request({ url: '/a' }))
  await settle()
  await client.logout()
  gateway.hold.clear()
  gateway.release('/a')
  await settle()
  assert.equal(end.res.statusCode, 200)
  assert.equal(gateway.live.size, 0)
  assert.equal((await client.request({ url: '/b' })).statusCode, 401)
})

test('a wx.login that fails reaches the caller, and the next begins afresh', async (t) => {
  const { gateway, wx, client } = setUp(t, { oneTrip: true })
  wx.loginFails = true
  await assert.rejects(client.request({ url: '/a' }), { errMsg: 'login:fail' })
  wx.loginFails = false
  gateway.answers['/a'] = [carry(gateway)]
  assert.equal((await client.request({ url: '/a' })).statusCode, 200)
})
