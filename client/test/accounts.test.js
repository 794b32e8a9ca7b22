'use strict'
// Two accounts, one after the other: what the first one began is never the second one's.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { json, refusal, settle } = require('./fake')
const { setUp, track } = require('./setup')

// change logs one user out and the next one in.
async function change(client) {
  await client.logout()
  await client.login()
}

test('a call that pauses is not sent in the name of the next user', async (t) => {
  for (const kind of ['request', 'uploadFile']) {
    await t.test(kind, async (t) => {
      const { gateway, client, tick } = setUp(t)
      gateway.answers['/pay'] = [refusal(429, 'rate_limited', { 'Retry-After': '5' })]
      const end = track(client[kind]({ url: '/pay', method: 'POST', filePath: 'tmp://1', name: 'file' }))
      await settle()
      assert.equal(gateway.count('/pay'), 1)
      await change(client)
      await tick(5000)
      assert.equal(end.res.statusCode, 429)
      assert.equal(gateway.count('/pay'), 1)
    })
  }
})

test('an upload whose token is tried keeps to that token', async (t) => {
  const { gateway, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.hold.add('/wechat/session')
  const call = client.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' })
  call.onProgressUpdate(() => {})
  const end = track(call)
  await settle()
  await change(client)
  gateway.hold.clear()
  gateway.release('/wechat/session')
  await settle()
  assert.ok(gateway.requests.filter((r) => r.path === '/up').every((r) => r.token === 'token-1'))
  assert.equal(end.res.statusCode, 401)
})

test('a trip that fails does not go on as the next user', async (t) => {
  const { gateway, client } = setUp(t, { oneTrip: true })
  gateway.answers['/pay'] = [refusal(401, 'code_rejected')]
  gateway.hold.add('/pay')
  const end = track(client.request({ url: '/pay', method: 'POST' }))
  await settle()
  await change(client)
  gateway.hold.clear()
  gateway.release('/pay')
  await settle()
  assert.match(end.err.errMsg, /logged out/)
  assert.equal(gateway.count('/pay'), 1)
})

// The gateway answers the same code and nonce with the same token, so a login
// with those of a trip from before would end with the trip's late answer.
test('a login after a logout has nothing of a trip from before', async (t) => {
  for (const which of ['own', 'of another copy']) {
    await t.test('logout ' + which, async (t) => {
      const { gateway, client, another } = setUp(t, { oneTrip: true })
      const other = another()
      gateway.answers['/a'] = [
        (request) => {
          const [, code, nonce] = /code="([^"]+)", nonce="([^"]+)"/.exec(request.header.Authorization)
          const { token } = gateway.route({ path: '/wechat/login', data: { code, nonce } }).data
          return json(200, {}, { Authorization: 'Bearer ' + token, 'X-WeChat-Expires-In': '7200' })
        }
      ]
      gateway.hold.add('/a')
      const trip = track(client.request({ url: '/a' }))
      await settle()
      await (which === 'own' ? client : other).logout()
      const { token } = await client.login()
      gateway.hold.clear()
      gateway.release('/a')
      await settle()
      assert.equal(trip.res.statusCode, 200)
      assert.equal((await client.request({ url: '/b' })).data.token, token, 'the late answer ended the new session')
      assert.ok(!gateway.live.has('token-1'), 'the session of the trip lives on')
    })
  }
})

test("late cookies of one user are not the next one's", async (t) => {
  for (const which of ['own', 'of another copy']) {
    await t.test('logout ' + which, async (t) => {
      const { gateway, client, another } = setUp(t, { cookies: true })
      const other = another()
      gateway.answers['/slow'] = [json(200, {}, { 'Set-Cookie': 'sid=first' })]
      gateway.hold.add('/slow')
      const slow = track(client.request({ url: '/slow' }))
      await settle()
      await change(which === 'own' ? client : other)
      gateway.hold.clear()
      gateway.release('/slow')
      await settle()
      assert.equal(slow.res.statusCode, 200)
      await client.request({ url: '/b' })
      assert.equal(gateway.requests.at(-1).header.Cookie, undefined)
    })
  }
})

test("a queued request of one user has no cookies of the next one's", async (t) => {
  const { gateway, client } = setUp(t, { cookies: true })
  await client.request({ url: '/a' })
  gateway.hold.add('/slow')
  const slow = Array.from({ length: 8 }, () => track(client.request({ url: '/slow' })))
  track(client.request({ url: '/queued' }))
  await settle()
  await change(client)
  gateway.answers['/up'] = [json(200, {}, { 'Set-Cookie': 'sid=second' })]
  await client.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' })
  gateway.hold.clear()
  gateway.release('/slow')
  await settle()
  assert.ok(slow.every((end) => end.res))
  const queued = gateway.requests.find((r) => r.path === '/queued')
  assert.equal(queued.token, 'token-1')
  assert.equal(queued.header.Cookie, undefined)
  await client.request({ url: '/b' })
  assert.equal(gateway.requests.at(-1).header.Cookie, 'sid=second')
})

test('a socket is not opened in the name of the next user', async (t) => {
  const { gateway, wx, client } = setUp(t)
  await client.request({ url: '/a' })
  gateway.hold.add('/wechat/session')
  const end = track(client.connectSocket({ url: '/ws' }))
  await settle()
  await client.logout()
  gateway.hold.clear()
  await client.login()
  gateway.release('/wechat/session')
  await settle()
  assert.ok(end.err)
  assert.equal(wx.sockets.length, 0)
})
