import Taro from '@tarojs/taro'
import { createClient } from '../../index'

const client = createClient({ baseURL: 'https://example.com', wx: Taro })

export async function calls(
  request: Taro.request.Option,
  upload: Taro.uploadFile.Option,
  download: Taro.downloadFile.Option,
  socket: Taro.connectSocket.Option
): Promise<void> {
  const res = await client.request<{ id: number }>(request)
  const uploaded = await client.uploadFile(upload)
  const downloaded = await client.downloadFile(download)
  const task: Taro.SocketTask = await client.connectSocket(socket)
  task.onOpen(() => {})
  console.log(res.data.id, uploaded.data, downloaded.tempFilePath)
  // @ts-expect-error
  client.request({ url: '/a', headers: { n: 1 } })
}
