import api, { createClient, getHeader, Call, RequestResult } from '../../index'

const client = createClient({ baseURL: 'https://example.com', cookies: true, timeout: 5000 })
const onWx = createClient({ baseURL: 'https://example.com', wx, prefix: '/w', appid: 'wx1', maxRetryAfter: 3 })
api.createClient({ baseURL: 'https://example.com' })

export async function calls(options: WechatMiniprogram.RequestOption): Promise<void> {
  const call: Call<RequestResult<{ id: number }>> = client.request<{ id: number }>({
    url: '/a',
    header: { n: 1 },
    guest: true
  })
  call.onHeadersReceived((res) => res.header)
  call.abort()
  const res = await call
  const id: number = res.data.id
  const time: number = res.profile.connectStart
  const header: string | undefined = getHeader(res, 'x-request-id')
  client.request(options)
  client.request({ url: '/a', method: 'POST', success: (r) => r.statusCode.toFixed(), fail() {}, complete() {} })
  wx.request(options)
  // @ts-expect-error
  client.request({ url: '/a', metod: 'POST' })
  // @ts-expect-error
  client.request({ url: '/a', method: 'PSOT' })
  // @ts-expect-error
  client.request({ data: 1 })
  // @ts-expect-error
  client.request({ url: '/a', header: 'x' })
  // @ts-expect-error
  client.requst({ url: '/a' })
  // @ts-expect-error
  client.request({ url: '/a', timeout: '5s' })
  // @ts-expect-error
  call.onHeaderReceived(() => {})
  // @ts-expect-error
  createClient({ baseUrl: 'https://example.com' })
  // @ts-expect-error
  createClient({ baseURL: 'https://example.com', wx: {} })
  // @ts-expect-error
  const wrong: string = id
  console.log(time, header, wrong)
}

export async function encrypted(event: WechatMiniprogram.ButtonGetPhoneNumber): Promise<void> {
  const steps = await client.openData<{ steps: number }>(() => wx.getWeRunData(), { url: '/steps', data: { day: 1 } })
  const count: number = steps.data.steps
  const group = await client.openData(await wx.getWeRunData())
  const text: string = group.encrypted_data + group.iv
  await client.openData(event.detail, { url: '/phone' })
  // @ts-expect-error
  client.openData({ encryptedDta: 'x', iv: 'y' }, { url: '/steps' })
  // @ts-expect-error
  client.openData(() => wx.getWeRunData(), { path: '/steps' })
  console.log(count, text)
}

export async function transfers(
  up: WechatMiniprogram.UploadFileOption,
  down: WechatMiniprogram.DownloadFileOption
): Promise<void> {
  const uploaded = await client.uploadFile(up)
  const text: string = uploaded.data
  client.uploadFile({ url: '/up', filePath: 'x', name: 'file', formData: { n: 1 } }).onProgressUpdate((p) => p.progress)
  const downloaded = await onWx.downloadFile(down)
  const path: string = downloaded.tempFilePath
  // @ts-expect-error
  client.uploadFile({ url: '/up', filePaht: 'x', name: 'file' })
  // @ts-expect-error
  client.downloadFile({ url: '/down', filepath: 'x' })
  console.log(text, path, downloaded.profile)
}

export async function sockets(options: WechatMiniprogram.ConnectSocketOption): Promise<void> {
  const task: WechatMiniprogram.SocketTask = await onWx.connectSocket(options)
  const same: WechatMiniprogram.SocketTask = await client.connectSocket({ url: '/ws', protocols: ['chat'] })
  task.send({ data: 'x' })
  ;(await client.connectSocket({ url: '/ws' })).onMessage((res) => res.data)
  // @ts-expect-error
  same.sned({ data: 'x' })
  // @ts-expect-error
  client.connectSocket({ url: '/ws', protocol: ['chat'] })
}

export async function others(): Promise<void> {
  const { token, expires_in } = await client.login()
  const page: string = await client.webViewURL('/page')
  const image: string = await client.signedURL('/a.jpg', { expiresIn: 600 })
  const { numbers } = await client.scan.describe(page + image)
  await client.scan.approve('scene', numbers[0])
  // @ts-expect-error
  client.scan.approve('scene', 'x')
  createClient({ baseURL: 'https://example.com', oneTrip: true })
  const left = await client.session()
  await client.logout()
  const res = await client.callContainer<{ list: string[] }>({
    path: '/a',
    config: { env: 'x' },
    service: 's',
    method: 'POST'
  })
  const id: string = res.callID + res.data.list[0] + token
  // @ts-expect-error
  client.callContainer({ url: '/a' })
  console.log(id, expires_in + left.session_expires_in)
}
