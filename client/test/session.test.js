'use strict'
// Refused logins that are remembered, and several copies of the client in one
// Mini Program.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { json, refusal, settle } = require('./fake')
const { setUp, track } = require('./setup')

const LOGIN = '/wechat/login'

test('a refused login is remembered for longer and longer', async (t) => {
  for (const answer of [refusal(403, 'user_blocked'), json(502, '<html>'), json(200, {})]) {
    const { gateway, wx, client, tick } = setUp(t)
    gateway.answers[LOGIN] = Array.from({ length: 100 }, () => answer)
    let seconds = 0
    const asked = []
    for (; seconds < 1300; seconds++) {
      // a page that polls
      const before = wx.logins
      const end = track(client.request({ url: '/poll' }))
      await settle()
      assert.equal(end.err.statusCode, answer.statusCode)
      if (wx.logins > before) asked.push(seconds)
      await tick(1000)
    }
    assert.deepEqual(asked, [0, 10, 30, 70, 150, 310, 610, 910, 1210])
    gateway.answers[LOGIN] = []
    await tick(300000)
    assert.equal((await client.request({ url: '/poll' })).statusCode, 200)
    gateway.answers[LOGIN] = [answer]
    gateway.live.clear()
    await assert.rejects(client.request({ url: '/poll' }))
    await tick(9999)
    await assert.rejects(client.request({ url: '/poll' }))
    await tick(1)
    assert.equal((await client.request({ url: '/poll' })).statusCode, 200, 'a login did not end the growth')
    t.mock.timers.reset()
  }
})

test('a Retry-After of 0 makes no storm', async (t) => {
  const { gateway, wx, client, tick } = setUp(t)
  gateway.answers[LOGIN] = Array.from({ length: 100 }, () => refusal(429, 'rate_limited', { 'Retry-After': '0' }))
  for (let i = 0; i < 9; i++) {
    track(client.request({ url: '/poll' }))
    await tick(1000)
  }
  assert.equal(wx.logins, 2)
})

test('login() ends the pause', async (t) => {
  const { gateway, wx, client } = setUp(t)
  gateway.answers[LOGIN] = [refusal(403, 'user_blocked')]
  await assert.rejects(client.request({ url: '/a' }), { error: 'user_blocked' })
  await assert.rejects(client.request({ url: '/a' }), { error: 'user_blocked' })
  assert.equal(wx.logins, 1)
  assert.equal((await client.login()).token, 'token-1')
  assert.equal((await client.request({ url: '/a' })).statusCode, 200)
})

test('a logout of one copy is a logout of the other', async (t) => {
  const { gateway, wx, client, another } = setUp(t)
  const other = another()
  await client.request({ url: '/a' })
  assert.equal((await other.request({ url: '/a' })).data.token, 'token-1')
  await other.logout()
  assert.equal((await client.request({ url: '/a' })).data.error, 'login_required')
  assert.equal(gateway.requests.at(-1).token, undefined)
  assert.equal(wx.logins, 1)
  await client.login()
  assert.equal((await other.request({ url: '/a' })).data.token, 'token-2')
  assert.equal(wx.logins, 2)
})

// Clocks go back, too: the order of what was written counts, not its time.
test('a token in storage that is newer wins', async (t) => {
  const { gateway, wx, client, another, tick } = setUp(t)
  const other = another()
  await client.request({ url: '/a' })
  await other.request({ url: '/a' })
  t.mock.timers.setTime(1e12 - 3600 * 1000)
  await other.login()
  assert.equal((await client.request({ url: '/a' })).data.token, 'token-2')
  gateway.end('token-1')
  gateway.end('token-2')
  assert.equal((await client.request({ url: '/a' })).data.token, 'token-3')
  assert.equal((await other.request({ url: '/a' })).data.token, 'token-3')
  await tick(5000 * 1000)
  await other.request({ url: '/a' }) // renews
  await settle()
  assert.equal((await client.request({ url: '/a' })).data.token, 'token-4')
  assert.equal(gateway.count('/wechat/renew'), 1)
  assert.equal(wx.logins, 3)
})

test('a 401 of the one uses the login of the other', async (t) => {
  const { gateway, wx, client, another } = setUp(t)
  const other = another()
  await client.request({ url: '/a' })
  gateway.answers['/slow'] = [refusal(401, 'login_required')]
  gateway.hold.add('/slow')
  const slow = track(client.request({ url: '/slow' }))
  await settle()
  await other.login()
  gateway.hold.clear()
  gateway.release('/slow')
  await settle()
  assert.equal(slow.res.data.token, 'token-2')
  assert.equal(wx.logins, 2)
})

test("a login of the one that the other's logout overtakes is ended", async (t) => {
  const { gateway, client, another } = setUp(t)
  const other = another()
  gateway.hold.add(LOGIN)
  const end = track(client.request({ url: '/a' }))
  await settle()
  await other.logout()
  gateway.hold.clear()
  gateway.release(LOGIN)
  await settle()
  assert.equal(end.err.errMsg, 'login:fail logged out')
  assert.equal(gateway.live.size, 0)
  assert.equal((await client.request({ url: '/a' })).statusCode, 401)
})

test("a request from before the other's logout does not log in after it", async (t) => {
  const { gateway, wx, client, another } = setUp(t)
  const other = another()
  await client.request({ url: '/a' })
  gateway.answers['/slow'] = [refusal(401, 'session_ended')]
  gateway.hold.add('/slow')
  const slow = track(client.request({ url: '/slow' }))
  await settle()
  await other.logout()
  await other.login()
  gateway.hold.clear()
  gateway.release('/slow')
  await settle()
  assert.equal(slow.res.statusCode, 401)
  assert.equal(wx.logins, 2)
})
