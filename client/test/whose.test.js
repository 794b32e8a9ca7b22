'use strict'
// Whose refusal it is: the gateway's has a mark that no app can send.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { json, refusal, settle } = require('./fake')
const { setUp, track } = require('./setup')

const DOUBLES = {
  'its own rate_limited': json(429, { error: 'rate_limited' }, { 'Retry-After': '1' }),
  'its own store_unavailable': json(503, { error: 'store_unavailable' }, { 'Retry-After': '1' }),
  'its own login_required': json(401, { error: 'login_required' }),
  'its own session_ended with a Bearer challenge': json(
    401,
    { error: 'session_ended' },
    { 'WWW-Authenticate': 'Bearer' }
  ),
  'a 401 without a body': { statusCode: 401, data: '', header: { 'WWW-Authenticate': 'Bearer' } }
}

for (const [name, answer] of Object.entries(DOUBLES)) {
  test(`an app that answers a POST with ${name} gets it once`, async (t) => {
    const { gateway, wx, client, tick } = setUp(t)
    gateway.answers['/pay'] = [answer]
    gateway.answers['/up'] = [answer]
    const paid = track(client.request({ url: '/pay', method: 'POST' }))
    const uploaded = track(client.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' }))
    await tick(0)
    for (let i = 0; i < 5; i++) await tick(1000)
    assert.equal(paid.res.statusCode, answer.statusCode)
    assert.equal(uploaded.res.statusCode, answer.statusCode)
    assert.equal(gateway.count('/pay'), 1)
    assert.equal(gateway.count('/up'), 1)
    assert.equal(wx.logins, 1)
  })
}

test('the mark is found in any spelling, and in a list', async (t) => {
  for (const header of [
    { 'X-WeChat-Gateway': 'session_ended' },
    { 'x-wechat-gateway': 'session_ended' },
    { 'X-WECHAT-GATEWAY': ['session_ended'] },
    'HTTP/1.1 401 Unauthorized\r\nX-Wechat-Gateway: session_ended\r\nContent-Length: 0\r\n',
    '{"X-Wechat-Gateway":"session_ended"}'
  ]) {
    const { gateway, client } = setUp(t)
    gateway.answers['/a'] = [{ statusCode: 401, data: '', header }]
    assert.equal((await client.request({ url: '/a', method: 'POST' })).statusCode, 200)
    assert.equal(gateway.count('/a'), 2)
    t.mock.timers.reset()
  }
})

test('a status that is a text is a status', async (t) => {
  const { gateway, client, tick } = setUp(t)
  gateway.answers['/up'] = [
    Object.assign(refusal(503, 'store_unavailable', { 'Retry-After': '1' }), { statusCode: '503' })
  ]
  const end = track(client.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' }))
  await tick(0)
  await tick(1000)
  assert.equal(end.res.statusCode, 200)
})

// hide makes a platform that shows the headers of a kind of transfer by an
// event only, or not at all.
function hide(wx, kind, byEvent, header) {
  const real = wx[kind]
  wx[kind] = (options) => {
    let listener = () => {}
    const task = real(
      Object.assign({}, options, {
        success(res) {
          const shown = Object.assign({}, res)
          delete shown.header
          if (header !== undefined) shown.header = header
          if (byEvent) listener({ header: res.header })
          options.success(shown)
        }
      })
    )
    return {
      abort: task.abort,
      onHeadersReceived: (f) => {
        listener = f
      }
    }
  }
}

const TRANSFERS = {
  uploadFile: { url: '/file', filePath: 'tmp://1', name: 'file' },
  downloadFile: { url: '/file' }
}

for (const kind of ['uploadFile', 'downloadFile']) {
  for (const [name, byEvent, header] of [
    ['by an event only', true],
    ['by an event, beside an empty object', true, {}],
    ['by an event, beside null', true, null],
    ['not at all', false],
    ['not at all, beside an empty text', false, '']
  ]) {
    test(`${kind}: refusals are known where headers are shown ${name}`, async (t) => {
      const { gateway, wx, client } = setUp(t)
      await client.request({ url: '/a' })
      hide(wx, kind, byEvent, header)
      gateway.end('token-1')
      assert.equal((await client[kind](TRANSFERS[kind])).statusCode, 200)
      assert.equal(gateway.count('/file'), 2)
      assert.equal(wx.logins, 2)
      gateway.answers['/file'] = [json(401, { error: 'session_ended' })]
      assert.equal((await client[kind](TRANSFERS[kind])).statusCode, 401)
      assert.equal(gateway.count('/file'), 3, "the 401 of the app was taken for the gateway's")
      assert.equal(wx.logins, 2)
      assert.equal(gateway.count('/wechat/session'), byEvent ? 0 : 2)
    })
  }
}

test('headers that came by an event are in the result', async (t) => {
  const { wx, client } = setUp(t)
  hide(wx, 'downloadFile', true)
  assert.equal((await client.downloadFile({ url: '/file' })).header['content-type'], 'application/json')
})

// files makes a platform that saves what it downloads, whatever it is.
function files(wx) {
  const saved = new Map()
  const real = wx.downloadFile
  let n = 0
  wx.downloadFile = (options) =>
    real(
      Object.assign({}, options, {
        success(res) {
          const path = options.filePath || 'tmp://' + ++n
          saved.set(path, res.statusCode)
          const shown = Object.assign({}, res)
          delete shown.tempFilePath
          shown[options.filePath ? 'filePath' : 'tempFilePath'] = path
          options.success(shown)
        }
      })
    )
  wx.getFileSystemManager = () => ({ unlink: ({ filePath }) => saved.delete(filePath) })
  return saved
}

test('a refusal is never kept as the downloaded file', async (t) => {
  const { gateway, wx, client } = setUp(t)
  const saved = files(wx)
  await client.request({ url: '/a' })
  gateway.end('token-1')
  assert.equal((await client.downloadFile({ url: '/file', filePath: 'usr://doc' })).filePath, 'usr://doc')
  assert.deepEqual([...saved], [['usr://doc', 200]])
  saved.clear()

  gateway.end('token-2')
  await client.downloadFile({ url: '/file' })
  assert.deepEqual([...saved.values()], [200])
  saved.clear()

  gateway.answers['/file'] = Array.from({ length: 4 }, () => refusal(401, 'session_ended'))
  const refused = await client.downloadFile({ url: '/file', filePath: 'usr://doc' })
  assert.equal(refused.statusCode, 401)
  assert.equal(refused.filePath, undefined)
  const temporary = await client.downloadFile({ url: '/file' })
  assert.equal(temporary.statusCode, 401)
  assert.equal(temporary.tempFilePath, undefined)
  assert.deepEqual([...saved], [])

  gateway.answers['/file'] = [refusal(401, 'session_ended')]
  gateway.answers['/wechat/login'] = [json(502, {})]
  await assert.rejects(client.downloadFile({ url: '/file', filePath: 'usr://doc' }), { statusCode: 502 })
  assert.deepEqual([...saved], [], 'the login failed, and the refusal stayed')

  gateway.answers['/file'] = [json(404, {})]
  assert.equal((await client.downloadFile({ url: '/file', filePath: 'usr://doc', guest: true })).filePath, 'usr://doc')
  assert.deepEqual([...saved.keys()], ['usr://doc'], "what the app answers is the app's")
})

// eventful makes a platform whose tasks tell what happens to a request.
function eventful(wx, kind) {
  const real = wx[kind]
  wx[kind] = (options) => {
    const heard = {}
    const tell = (event, res) => (heard[event] || []).forEach((f) => f(res))
    const task = real(
      Object.assign({}, options, {
        success(res) {
          if (kind === 'uploadFile') tell('ProgressUpdate', { progress: 100, status: res.statusCode })
          tell('HeadersReceived', { header: res.header, statusCode: res.statusCode })
          tell('ChunkReceived', { data: JSON.stringify(res.data) })
          if (kind === 'downloadFile') tell('ProgressUpdate', { progress: 100, status: res.statusCode })
          options.success(res)
        }
      })
    )
    for (const event of ['HeadersReceived', 'ChunkReceived', 'ProgressUpdate']) {
      task['on' + event] = (f) => (heard[event] ||= []).push(f)
    }
    return task
  }
}

function listen(call) {
  const heard = { headers: [], chunks: [], progress: [] }
  call.onHeadersReceived((res) => heard.headers.push(res.statusCode))
  call.onChunkReceived((res) => heard.chunks.push(res.data))
  call.onProgressUpdate((res) => heard.progress.push(res.status))
  return heard
}

test('events belong to the answer that the caller gets', async (t) => {
  const { gateway, wx, client, tick } = setUp(t)
  eventful(wx, 'request')
  await client.request({ url: '/a' })
  gateway.end('token-1')
  const call = client.request({ url: '/stream', enableChunked: true })
  const heard = listen(call)
  await call
  assert.deepEqual(heard.headers, [200])
  assert.deepEqual(heard.chunks, ['{"path":"/stream","token":"token-2"}'])

  gateway.answers['/stream'] = [json(503, 'busy', { 'Retry-After': '1' })]
  const later = client.request({ url: '/stream', enableChunked: true })
  const once = listen(later)
  await tick(0)
  await tick(1000)
  assert.equal((await later).statusCode, 200)
  assert.deepEqual(once.headers, [200])
  assert.equal(once.chunks.length, 1)

  gateway.answers['/stream'] = [refusal(401, 'session_ended'), refusal(401, 'session_ended')]
  const refused = client.request({ url: '/stream', enableChunked: true })
  const last = listen(refused)
  assert.equal((await refused).statusCode, 401)
  assert.deepEqual(last, { headers: [401], chunks: [], progress: [] })
})

test('chunks arrive while the answer goes on, and none after an abort', async (t) => {
  const { wx, client } = setUp(t)
  await client.request({ url: '/a' })
  let tell
  let abortTells = false
  wx.request = () => {
    const heard = {}
    tell = (event, res) => heard[event](res)
    return {
      abort: () => abortTells && tell('chunk', { data: 'last' }),
      onHeadersReceived: (f) => {
        heard.headers = f
      },
      onChunkReceived: (f) => {
        heard.chunk = f
      }
    }
  }
  const call = client.request({ url: '/stream', enableChunked: true })
  track(call)
  const chunks = []
  call.onChunkReceived((res) => chunks.push(res.data))
  await settle()
  tell('chunk', { data: 'early' })
  assert.deepEqual(chunks, [], 'whose is it?')
  tell('headers', { header: { 'content-type': 'text/event-stream' } })
  tell('chunk', { data: 'one' })
  assert.deepEqual(chunks, ['early', 'one'])
  const late = []
  call.onChunkReceived((res) => late.push(res.data))
  tell('chunk', { data: 'two' })
  assert.deepEqual(late, ['two'])
  abortTells = true
  call.abort()
  tell('chunk', { data: 'three' })
  assert.deepEqual(late, ['two'])
})

test('the progress of a download is that of the file', async (t) => {
  const { gateway, wx, client } = setUp(t)
  eventful(wx, 'downloadFile')
  await client.request({ url: '/a' })
  gateway.end('token-1')
  const call = client.downloadFile({ url: '/file' })
  const heard = listen(call)
  await call
  assert.deepEqual(heard.progress, [200])
})

// The progress of an upload is of use only while it goes on, which is before
// anybody knows whether it will be refused. So the token is tried first.
test('the progress of an upload is live, and of one that is not refused', async (t) => {
  const { gateway, wx, client } = setUp(t)
  eventful(wx, 'uploadFile')
  await client.request({ url: '/a' })
  gateway.end('token-1')
  const call = client.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' })
  const heard = listen(call)
  await call
  assert.deepEqual(heard.progress, [200])
  assert.equal(gateway.count('/up'), 1)
  await client.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' })
  assert.equal(gateway.count('/wechat/session'), 2, 'nobody watched the second')
})

test('a listener that throws does not keep the answer', async (t) => {
  const { wx, client, tick } = setUp(t)
  eventful(wx, 'request')
  const call = client.request({ url: '/a' })
  call.onHeadersReceived(() => {
    throw new Error('of the page')
  })
  assert.equal((await call).statusCode, 200)
  await assert.rejects(tick(0), /of the page/)
})
